"""Vectors of questions that were not found, for when their answers come. Pure."""

from collections import OrderedDict

from penstock_cache.semantic.vectors import Vector

VECTORS_MAX = 256  # of one tenant


class RecentVectors:
    """A few vectors of each tenant, apart from each other's, each given once."""

    def __init__(self) -> None:
        self._vectors: dict[str, OrderedDict[bytes, Vector]] = {}

    def put(self, organization: str, key: bytes, vector: Vector) -> None:
        """Remember a vector for a while."""
        vectors = self._vectors.setdefault(organization, OrderedDict())
        vectors[key] = vector
        if len(vectors) > VECTORS_MAX:
            vectors.popitem(last=False)

    def take(self, organization: str, key: bytes) -> Vector | None:
        """Give a vector and forget it."""
        vectors = self._vectors.get(organization)
        return None if vectors is None else vectors.pop(key, None)

    def forget(self, organization: str) -> None:
        """Forget all of a tenant: nothing here says whose a vector is."""
        self._vectors.pop(organization, None)
