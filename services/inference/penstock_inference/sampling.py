"""How tokens are drawn from logits; native/drawing.cpp does it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint8]  # one for each token, the lowest of a byte first, in whole words of 32

TEMPERATURE_MIN = 1e-4  # below, the likeliest token has all the mass there is in float32


@dataclass(frozen=True, slots=True)
class Controls:
    """How randomly tokens are drawn, and among which. The defaults leave the model's distribution as it is.

    Temperature comes first; then min-p, top-k and top-p each narrow what the one before left, as in vLLM.
    """

    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def greedy(self) -> bool:
        """Tell whether the likeliest token is taken, with nothing left to chance."""
        return self.temperature < TEMPERATURE_MIN
