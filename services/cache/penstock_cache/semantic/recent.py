"""Vectors of questions that were not found, for when their answers come, and of foreseen ones that were. Pure."""

from collections import OrderedDict
from typing import NamedTuple

from penstock_cache.semantic.vectors import Vector

VECTORS_MAX = 256  # of one tenant


class Recent(NamedTuple):
    """A vector; readied: its question was found before anybody asked it."""

    vector: Vector
    readied: bool


class RecentVectors:
    """A few vectors of each tenant, apart from each other's, each given once."""

    def __init__(self) -> None:
        self._vectors: dict[str, OrderedDict[bytes, Recent]] = {}

    def put(self, organization: str, key: bytes, recent: Recent) -> None:
        """Remember a vector for a while."""
        vectors = self._vectors.setdefault(organization, OrderedDict())
        vectors[key] = recent
        if len(vectors) > VECTORS_MAX:
            vectors.popitem(last=False)

    def take(self, organization: str, key: bytes) -> Recent | None:
        """Give a vector and forget it."""
        vectors = self._vectors.get(organization)
        return None if vectors is None else vectors.pop(key, None)

    def forget(self, organization: str) -> None:
        """Forget all of a tenant: nothing here says whose a vector is."""
        self._vectors.pop(organization, None)
