"""Which keys carry a label. Pure."""

from collections.abc import Hashable
from typing import Generic, TypeVar

L = TypeVar("L", bound=Hashable)


class Index(Generic[L]):
    """Keys by label. A label without keys leaves no trace."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[L, set[bytes]] = {}

    def __contains__(self, label: L) -> bool:
        return label in self._keys

    def add(self, label: L, key: bytes) -> None:
        """Note that a key carries a label."""
        keys = self._keys.get(label)
        if keys is None:
            self._keys[label] = {key}
        else:
            keys.add(key)

    def discard(self, label: L, key: bytes) -> None:
        """Forget that a key carries a label it was given before."""
        keys = self._keys[label]
        keys.discard(key)
        if not keys:
            del self._keys[label]

    def keys(self, label: L) -> list[bytes]:
        """Give the keys that carry a label."""
        return list(self._keys.get(label, ()))
