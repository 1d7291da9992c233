"""How a turn is timed. The pauses let the threads of the engine before go to sleep, and this one's caches fill."""

import time
from collections.abc import Callable

SETTLE_SECONDS = 0.05
WARM_UP_SECONDS = 0.12


def tokens_per_second(warm_up: Callable[[], int], step: Callable[[], int], seconds: float) -> float:
    """Settle, warm up, then run steps for this long; each returns how many tokens it did."""
    time.sleep(SETTLE_SECONDS)
    _run(warm_up, WARM_UP_SECONDS)
    tokens, elapsed = _run(step, seconds)
    return tokens / elapsed


def _run(step: Callable[[], int], seconds: float) -> tuple[int, float]:
    tokens, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        tokens += step()
    return tokens, elapsed
