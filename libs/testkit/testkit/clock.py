"""A clock that moves only when told."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Call it for the time, as an aware datetime: `clock()`."""

    def __init__(self, at: datetime = BEGINNING) -> None:
        self._at = at

    def __call__(self) -> datetime:
        """Tell the time."""
        return self._at

    @property
    def seconds(self) -> float:
        """The time as seconds since the epoch."""
        return self._at.timestamp()

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> datetime:
        """Move forward and give the new time."""
        self._at += timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        return self._at

    def set(self, at: datetime) -> None:
        """Jump, backwards too, as real clocks do."""
        self._at = at
