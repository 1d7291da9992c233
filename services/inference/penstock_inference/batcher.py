"""The batch loop: one thread runs an engine's steps for all requests at once (continuous batching)."""

import threading
import time
from collections.abc import Callable

from servicekit.errors import INTERNAL_MESSAGE, Internal, ServiceError, Unavailable
from servicekit.logging import get_logger

from penstock_inference.accounts import Accounts, Deltas
from penstock_inference.engines import Engine
from penstock_inference.job import Job, Result
from penstock_inference.metrics import BatchMetrics
from penstock_inference.plan import Plan
from penstock_inference.refusals import draining
from penstock_inference.sampler import choose_tokens
from penstock_inference.scheduler import Scheduler

FAULTS_MAX = 3  # steps that fail in a row before the model calls itself unhealthy
FAULT_SECONDS = 10.0  # for how long it does; then requests may try again

log = get_logger(__name__)

HandOver = Callable[[list[Result]], None]


class Batcher:
    """Run one model. `submit` and `cancel` may be called from any thread, and never wait for a step."""

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        accounts: Accounts,
        metrics: BatchMetrics,
        hand_over: HandOver,
    ) -> None:
        """Start the thread. It gives each step's results to `hand_over` in one call, once the journal has them."""
        self._engine = engine
        self._scheduler = scheduler
        self._accounts = accounts
        self._metrics = metrics
        self._hand_over = hand_over
        self._changed = threading.Condition()  # guards the scheduler, and wakes the thread for new work
        self._closing = False
        self._faults = 0
        self._fault_time = 0.0
        self._thread = threading.Thread(target=self._run, name="batch-loop", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue the sequences of a job.

        Raises:
            ServiceError: the scheduler refuses them, or the batcher is closing (DRAINING).
        """
        with self._changed:
            if self._closing:
                raise draining()
            self._scheduler.submit(job.sequences, time.monotonic())
            self._accounts.open(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Stop what still runs of a job, as soon as the step that is being computed is over."""
        with self._changed:
            self._scheduler.cancel(job.sequences)

    async def check(self) -> None:
        """Probe: raise Unavailable after several failed steps in a row."""
        if self._faults >= FAULTS_MAX and time.monotonic() < self._fault_time + FAULT_SECONDS:
            raise Unavailable(
                "DEPENDENCY_UNAVAILABLE", "The engine fails.", metadata={"dependency": "engine"}
            )

    def close(self) -> None:
        """Stop after the current step, tell who is left, and close the engine. Blocks until that is done."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._engine.close()

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                results = self._step()
            except Exception as error:  # noqa: BLE001 - who was in the step is told, and the others go on
                results = self._recover(error)
            if results:
                self._hand_over(results)
        self._hand_over(self._accounts.fail(self._accounts.everybody(), draining()))

    def _wait_for_work(self) -> bool:
        """Sleep until there is some; false when no more is to be done."""
        with self._changed:
            while self._scheduler.idle and not self._closing:
                self._changed.wait()
            return not self._closing

    def _step(self) -> list[Result]:
        started = time.perf_counter()
        with self._changed:
            plan = self._scheduler.plan(time.monotonic())
        deltas = self._compute(plan)
        with self._changed:
            self._scheduler.commit(plan)
        results = self._accounts.settle(plan, deltas)
        if plan.batch is not None:
            self._faults = 0
            self._metrics.step(time.perf_counter() - started, plan.batch, len(deltas))
        return results

    def _compute(self, plan: Plan) -> Deltas:
        for copy in plan.copies:
            self._engine.copy_slot(copy.source, copy.target, copy.tokens)
        if plan.batch is None:
            return []
        logits = self._engine.step(plan.batch)
        choices = choose_tokens(logits, [sequence.sampler for sequence in plan.sampled])
        pairs = zip(plan.sampled, choices, strict=True)
        return [(sequence, sequence.accept(choice)) for sequence, choice in pairs if not sequence.cancelled]

    def _recover(self, error: Exception) -> list[Result]:
        """End whoever was in a failed step, and free all slots: nobody knows what they hold now."""
        if not isinstance(error, ServiceError):
            log.error("engine_step_failed", exc_info=error)
            self._faults, self._fault_time = self._faults + 1, time.monotonic()
            self._metrics.faults.inc()
            error = Internal("INTERNAL", INTERNAL_MESSAGE)
        with self._changed:
            # Who waits may do better, but not for ever.
            waiting = self._scheduler.evict(waiting_too=self._faults >= FAULTS_MAX)
            failed = set(self._accounts.everybody()).difference(waiting)
        return self._accounts.fail(failed, error)
