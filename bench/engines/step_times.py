"""Where a batch loop's time goes: each step split into what the engine computes and what is done around it."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from penstock_inference.batcher import Batcher
from penstock_inference.engines import Logits, StepBatch


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of the engine, on two clocks: the wall's, and the CPU time of the batch loop's own thread."""

    sequences: int  # that decode; 0 when prompts are read, too
    began: tuple[float, float]
    ended: tuple[float, float]


@dataclass(slots=True)
class StepTimes:
    """The engine's calls in order."""

    calls: list[_Call] = field(default_factory=list)

    def summary(self, concurrent: int) -> dict[str, Any]:
        """Give the medians of full steps: from one call of the engine to the next, and what lies between the two."""
        full = [
            (call, following)
            for call, following in zip(self.calls, self.calls[1:], strict=False)
            if call.sequences == following.sequences == concurrent
        ]
        measured: dict[str, Any] = {"steps": len(full)}
        for clock, name in enumerate(("wall", "cpu")):
            whole = statistics.median(after.began[clock] - call.began[clock] for call, after in full)
            around = statistics.median(after.began[clock] - call.ended[clock] for call, after in full)
            measured |= {f"{name}_step_ms": whole * 1e3, f"{name}_around_ms": around * 1e3}
        return measured


@contextmanager
def timed_steps(batcher: Batcher) -> Iterator[StepTimes]:
    """Time every call of a batcher's engine."""
    engine, times = batcher._engine, StepTimes()  # noqa: SLF001 - only here, between the loop and its engine
    batcher._engine = _Timed(engine, times)  # type: ignore[assignment] # noqa: SLF001
    try:
        yield times
    finally:
        batcher._engine = engine  # noqa: SLF001


class _Timed:
    def __init__(self, engine: Any, times: StepTimes) -> None:
        self._compute: Callable[[StepBatch], Logits] = engine.step
        self._engine = engine
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def step(self, batch: StepBatch) -> Logits:
        began = _now()
        logits = self._compute(batch)
        self._times.calls.append(_Call(0 if batch.prefills else len(batch.decode), began, _now()))
        return logits


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()
