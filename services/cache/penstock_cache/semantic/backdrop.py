"""What all questions of a room have in common, so that it does not make them look alike. Pure.

Removing the mean and the strongest directions of a set of vectors leaves what tells them apart (Mu and Viswanath,
"All-but-the-Top", ICLR 2018). A room of one trade has much in common; there this tells near questions apart far better
than their cosine. It is learnt from the room's own questions, and from nothing else.
"""

from dataclasses import dataclass

import numpy as np

from penstock_cache.semantic.vectors import Rows, Vector

ROWS_MIN = 512
_ROWS_READ_MAX = 4096
_DIRECTIONS = 16
_SEED = 1234


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The mean of a room's vectors, their strongest directions, and the mean length of what is left of them."""

    mean: Vector
    directions: Rows
    scale: float

    def distances(self, vector: Vector, rows: Rows) -> list[float]:
        """Give √(1 − cosine) of what is left of a vector and of each row, on the scale of whole vectors."""
        left = self.without(np.vstack([vector, rows]))
        left /= np.linalg.norm(left, axis=1, keepdims=True) + np.float32(1e-9)
        distances: list[float] = (self.scale * np.sqrt(np.maximum(0.0, 1.0 - left[1:] @ left[0]))).tolist()
        return distances

    def without(self, rows: Rows) -> Rows:
        """Give what is left of rows."""
        centred = rows - self.mean
        left: Rows = np.subtract(centred, (centred @ self.directions.T) @ self.directions, dtype=np.float32)
        return left


def learn_backdrop(rows: Rows) -> Backdrop:
    """Learn from a room's rows, at most a few thousand of them: tens of milliseconds."""
    if len(rows) > _ROWS_READ_MAX:
        rows = np.random.default_rng(_SEED).choice(rows, _ROWS_READ_MAX, replace=False)
    mean = rows.mean(0)
    centred = rows - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)  # strongest last
    backdrop = Backdrop(mean, np.ascontiguousarray(vectors[:, -_DIRECTIONS:].T), 1.0)
    scale = float(np.linalg.norm(backdrop.without(rows), axis=1).mean())
    return Backdrop(mean, backdrop.directions, scale)
