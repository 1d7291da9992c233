"""Turn positions into angles: rotary position embedding (RoFormer, arXiv 2104.09864)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Rotary:
    """How far the two halves of a head turn at each position, whatever kind of scaling led to it."""

    frequencies: tuple[float, ...]  # radians a position, one for each pair of dimensions: head_dim / 2
    magnitude: float = 1.0  # what rotated queries and keys are multiplied with, each

    def tables(self, rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Tabulate cosine and sine of each position's angles, magnified, `[rows, head_dim / 2]` each."""
        angles = np.arange(rows)[:, None] * np.array(self.frequencies)
        cos, sin = (self.magnitude * function(angles) for function in (np.cos, np.sin))
        return cos.astype(np.float32), sin.astype(np.float32)
