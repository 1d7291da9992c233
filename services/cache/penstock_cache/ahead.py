"""Answers that were made before anybody asked, until somebody does or their time is over. Pure."""

from collections import OrderedDict
from typing import NamedTuple

ANSWERS_MAX = 65_536


class _Waiting(NamedTuple):
    cost_nanos: int
    expires_at: float


class Unasked(NamedTuple):
    """An answer that nobody asked for in time."""

    organization: str
    cost_nanos: int


class Ahead:
    """The oldest goes first when there are too many."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, bytes], _Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, organization: str, key: bytes, cost_nanos: int, expires_at: float) -> None:
        """Note that an answer was made ahead."""
        self._waiting[organization, key] = _Waiting(cost_nanos, expires_at)

    def asked(self, organization: str, key: bytes) -> bool:
        """Tell whether an answer was made ahead, and is asked for for the first time."""
        return self._waiting.pop((organization, key), None) is not None

    def expire(self, now: float) -> list[Unasked]:
        """Give up those whose time is over, and the oldest beyond ANSWERS_MAX."""
        over = []
        while self._waiting:
            (organization, _), oldest = next(iter(self._waiting.items()))
            if now < oldest.expires_at and len(self._waiting) <= ANSWERS_MAX:
                break
            self._waiting.popitem(last=False)
            over.append(Unasked(organization, oldest.cost_nanos))
        return over
