"""How long to wait before a program that died is started again. Pure."""

FIRST_SECONDS = 0.1
LAST_SECONDS = 5.0
STABLE_SECONDS = 10.0


class Backoff:
    """Double the delay with each death, up to a bound; a program that ran stably starts over."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def delay_after(self, ran_seconds: float) -> float:
        """Give the seconds to wait after a run that lasted so long."""
        if ran_seconds >= STABLE_SECONDS:
            self._next = FIRST_SECONDS
        delay = self._next
        self._next = min(2 * delay, LAST_SECONDS)
        return delay
