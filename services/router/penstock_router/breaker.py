"""A circuit breaker for one endpoint: after failures in a row it lets nothing through, then one probe at a time."""

FAILURES_MAX = 5
OPEN_SECONDS = 2.0


class Breaker:
    """Closed: all pass. Open: none passes for a while. Half-open: one passes, and decides (Nygard, Release It!, 2007).

    Only faults of the endpoint count; refusals of a request do not. Times are of a monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    def allows(self, now: float) -> bool:
        """Tell whether a request may pass; in half-open the asker becomes the probe."""
        if self._failures < FAILURES_MAX:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """Count a fault; the later of two openings holds."""
        self._failures += 1
        self._probing = False
        if self._failures >= FAILURES_MAX:
            self._open_until = max(self._open_until, now + OPEN_SECONDS)

    def gave_up(self) -> None:
        """Free the probe's place: the caller hung up before the endpoint could prove itself."""
        self._probing = False
