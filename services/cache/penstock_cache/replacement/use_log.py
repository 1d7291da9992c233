"""The last uses of an organization's items, by number: of what kind each was, and how long until the next. Pure."""

from array import array
from typing import NamedTuple

USES_MAX = 63
# How long until the next use, where there was none yet.
OPEN = 2**31 - 1
_DROPPED = 0


class Use(NamedTuple):
    """The last use of an item: how many requests ago, and the how manieth."""

    gap: int
    uses: int


NEVER = Use(0, 0)


class UseLog:
    """Uses are numbered, and the last ones remembered: `kinds` and `waits` are of those from `start` up to `end`."""

    __slots__ = ("_keys", "_last", "_uses", "kinds", "start", "waits")

    def __init__(self) -> None:
        self.start = 0
        self.kinds = array("h")
        self.waits = array("i")
        self._uses = array("B")
        self._keys: list[bytes] = []
        self._last: dict[bytes, int] = {}

    @property
    def end(self) -> int:
        """Give the number of the next use."""
        return self.start + len(self._keys)

    def close(self, key: bytes) -> Use:
        """End the wait that began with an item's last use, as it is used now; give that use."""
        number = self._last.get(key)
        if number is None:
            return NEVER
        place = number - self.start
        gap = len(self._keys) - place
        self.waits[place] = gap
        self._keys[place] = b""
        return Use(gap, self._uses[place])

    def add(self, key: bytes, uses: int, kind: int) -> int:
        """Note a use; give its number."""
        number = self._last[key] = self.start + len(self._keys)
        self._keys.append(key)
        self._uses.append(min(uses, USES_MAX))
        self.kinds.append(kind)
        self.waits.append(OPEN)
        return number

    def discard(self, key: bytes) -> None:
        """Forget an item; nobody learns from how long it waited."""
        number = self._last.pop(key, None)
        if number is not None:
            self.waits[number - self.start] = _DROPPED
            self._keys[number - self.start] = b""

    def trim(self, length_max: int) -> None:
        """Forget all but so many, the oldest first."""
        surplus = max(len(self._keys) - length_max, 0)
        for number, key in enumerate(self._keys[:surplus], self.start):
            if self._last.get(key) == number:
                del self._last[key]
        for column in (self._keys, self._uses, self.kinds, self.waits):
            del column[:surplus]
        self.start += surplus
