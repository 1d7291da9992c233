"""The questions of one room, found by their vectors. Pure."""

from typing import NamedTuple

from penstock_cache.semantic.backdrop import Backdrop
from penstock_cache.semantic.vectors import FlatVectors, Neighbour, Rows, Vector, Vectors

CANDIDATES = 8
SIMILARITY_MIN = 0.8  # below it no length of question makes an answer likely enough


class Near(NamedTuple):
    """A kept question near an asked one. The distance leaves out what is common to the room, once that is known."""

    key: bytes
    similarity: float
    distance: float


class Room:
    """Vectors by key, and their backdrop once there are enough of them to tell."""

    __slots__ = ("backdrop", "rows_learnt", "vectors")

    def __init__(self, dimensions: int) -> None:
        self.vectors: Vectors = FlatVectors(dimensions)
        self.backdrop: Backdrop | None = None
        self.rows_learnt = 0  # how many there were when the backdrop was last learnt

    def near(self, vectors: Rows) -> list[list[Near]]:
        """Give the nearest questions to each vector that may ask the same, nearest first."""
        found = self.vectors.search(vectors, CANDIDATES)
        return [self._near_enough(each, vector) for each, vector in zip(found, vectors, strict=True)]

    def discard(self, key: bytes) -> int:
        """Forget a vector; give how many bytes that was."""
        return self.vectors.discard(key)

    def forget_backdrop(self) -> None:
        """Forget what was learnt from vectors that must leave no trace; it is learnt anew from the others."""
        self.backdrop = None
        self.rows_learnt = 0

    def _near_enough(self, found: list[Neighbour], vector: Vector) -> list[Near]:
        found = [one for one in found if one[1] >= SIMILARITY_MIN]
        if self.backdrop is None or not found:
            return [Near(key, similarity, max(0.0, 1.0 - similarity) ** 0.5) for key, similarity in found]
        rows = self.vectors.rows([key for key, _ in found])
        distances = self.backdrop.distances(vector, rows)
        return [Near(*one, distance) for one, distance in zip(found, distances, strict=True)]
