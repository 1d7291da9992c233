"""How fast an engine goes, as far as has been seen: what can still be done by when."""

_WEIGHT = 0.05  # of the newest observation


class Pace:
    """Observe steps and starts. It knows nothing at first."""

    def __init__(self) -> None:
        self.step_seconds = 0.0  # about the fastest of late, so that what seems impossible is
        self._start_seconds = 0.0
        self._start_time: float | None = None  # of the last start while others waited

    def stepped(self, seconds: float) -> None:
        """Observe a step."""
        self.step_seconds = min(seconds, _smooth(self.step_seconds, seconds))

    def started(self, now: float, *, waiting: bool) -> None:
        """Observe that somebody got a slot, and whether others still wait for one."""
        if self._start_time is not None:
            self._start_seconds = _smooth(self._start_seconds, now - self._start_time)
        self._start_time = now if waiting else None

    def seconds_until_started(self, others: int) -> float:
        """Guess when somebody gets a slot who has so many others before him."""
        return others * self._start_seconds


def _smooth(mean: float, value: float) -> float:
    return mean + _WEIGHT * (value - mean) if mean else value
