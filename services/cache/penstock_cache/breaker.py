"""Ask a dependency that is away no more than now and then. Pure: times are of a monotonic clock, in seconds."""

FAILURES_MAX = 3
OPEN_SECONDS = 1.0


class Breaker:
    """Closed: all pass. Open: none passes for a while. Half-open: one passes, and decides (Nygard, Release It!)."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_from = 0.0

    def allows(self, now: float) -> bool:
        """Tell whether a call may pass; in half-open the asker becomes the probe."""
        if self._failures < FAILURES_MAX:
            return True
        if now < self._closed_from:
            return False
        self._closed_from = now + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """Count a failure."""
        self._failures += 1
        self._closed_from = now + OPEN_SECONDS
