"""The batch loop: one thread runs an engine's steps for all requests at once (continuous batching).

While it computes a step, another thread delivers what the step before gave (delivery.py).
"""

import threading
import time

from servicekit.errors import INTERNAL_MESSAGE, Internal, ServiceError
from servicekit.logging import get_logger

from penstock_inference.accounts import Accounts
from penstock_inference.delivery import Delivery, HandOver, StepOutput
from penstock_inference.engine_health import EngineHealth
from penstock_inference.engines import Engine, Logits
from penstock_inference.job import Job
from penstock_inference.metrics import BatchMetrics
from penstock_inference.plan import Plan
from penstock_inference.refusals import draining
from penstock_inference.scheduler import Scheduler
from penstock_inference.sequence import Sequence
from penstock_inference.step_tokens import StepTokens, read_logits

DISMISS_SECONDS_MAX = 60.0  # far longer than a step

log = get_logger(__name__)


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
        """Start the threads. Each step's results go to `hand_over` in one call, once the journal has them."""
        self._engine = engine
        self._scheduler = scheduler
        self._accounts = accounts
        self._metrics = metrics
        lock = threading.Lock()
        self._changed = threading.Condition(lock)  # guards the scheduler, and wakes the thread for new work
        self._left = threading.Condition(lock)  # tells that somebody may have left the scheduler
        self._taken: set[str | None] = {None}  # adapters that work is taken for; None: for the model as it is
        self._stopping = False  # nothing is computed any more
        self._health = EngineHealth()
        self._delivery = Delivery(accounts, metrics, hand_over, stop=self._stop, recover=self._recover)
        self._thread = threading.Thread(target=self._run, name="batch-loop", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue the sequences of a job.

        Raises:
            ServiceError: the scheduler refuses them, or the batcher is closing (DRAINING).
        """
        with self._changed:
            if not self._taken.issuperset(sequence.adapter for sequence in job.sequences):
                raise draining()
            self._scheduler.submit(job.sequences, time.monotonic())
            self._accounts.open(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Stop what still runs of a job, as soon as the step that is being computed is over."""
        with self._changed:
            self._scheduler.cancel(job.sequences)

    def take(self, adapter: str) -> None:
        """Take work for an adapter, too, which the engine has by now."""
        with self._changed:
            self._taken.add(adapter)

    def drain(self, seconds: float, adapter: str | None = None) -> None:
        """Take no more work for an adapter, or for the model as it is, and wait for so long until it is done."""
        with self._changed:
            self._taken.discard(adapter)
            self._left.wait_for(lambda: not self._scheduler.of_adapter(adapter), seconds)

    def dismiss(self, adapter: str) -> None:
        """Tell who is left of an adapter, and block until no step names it any more."""
        with self._changed:
            left = self._scheduler.of_adapter(adapter)
            self._scheduler.cancel(left)
        self._delivery.fail(left, draining())
        self.drain(DISMISS_SECONDS_MAX, adapter)

    async def check(self) -> None:
        """Probe: raise Unavailable after several failed steps in a row."""
        self._health.check(time.monotonic())

    def close(self) -> None:
        """Stop after the current step, tell who is left, and close the engine. Blocks until that is done."""
        with self._changed:
            self._taken.clear()
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._engine.close()

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - who was in the step is told, and the others go on
                self._delivery.fail(*self._recover(error))
        self._delivery.fail(self._accounts.everybody(), draining())
        self._delivery.close()

    def _wait_for_work(self) -> bool:
        """Sleep until there is some; false when no more is to be done."""
        with self._changed:
            while self._scheduler.idle and not self._stopping:
                self._left.notify_all()
                self._check_integrity()
                self._changed.wait()
            return not self._stopping

    def _check_integrity(self) -> None:
        """Begin anew, and say so, should the scheduler's books not agree when nobody needs them."""
        try:
            self._scheduler.check_integrity()
        except AssertionError:
            log.exception("scheduler_integrity_lost")
            self._metrics.faults.inc()
            self._scheduler.evict(waiting_too=True)

    def _step(self) -> None:
        started = time.perf_counter()
        with self._changed:
            plan = self._scheduler.plan(time.monotonic())
        tokens = StepTokens()
        if plan.batch is not None:
            tokens = read_logits(plan, self._compute(plan))
            self._judge(tokens)
        seconds = time.perf_counter() - started
        with self._changed:
            self._scheduler.commit(plan, seconds)
            self._scheduler.discard(tokens.unfit)
            self._left.notify_all()
        self._delivery.put(StepOutput(plan, tokens, seconds))

    def _compute(self, plan: Plan) -> Logits:
        assert plan.batch is not None
        for copy in plan.copies:
            self._engine.copy_slot(copy.source, copy.target, copy.tokens)
        return self._engine.step(plan.batch)

    def _judge(self, tokens: StepTokens) -> None:
        """Note how a step went. What only an adapter computes wrongly is no fault of the engine's."""
        if tokens.sampled:
            self._health.worked()
        if tokens.unfit:
            adapters = {sequence.adapter for sequence in tokens.unfit}
            log.error(
                "logits_not_finite", sequences=len(tokens.unfit), adapters=sorted(filter(None, adapters))
            )
            self._metrics.faults.inc()
            if not tokens.sampled and None in adapters:
                self._health.failed(time.monotonic())

    def _stop(self, sequences: list[Sequence]) -> None:
        with self._changed:
            self._scheduler.stop(sequences)

    def _recover(self, error: Exception) -> tuple[list[Sequence], ServiceError]:
        """Free all slots after a failed step, for nobody knows what they hold now, and say who ends with what."""
        with self._changed:
            if not isinstance(error, ServiceError):
                log.error("engine_step_failed", exc_info=error)
                self._health.failed(time.monotonic())
                self._metrics.faults.inc()
                error = Internal("INTERNAL", INTERNAL_MESSAGE)
            # Who waits may do better, but not for ever.
            waiting = self._scheduler.evict(waiting_too=self._health.failing)
            failed = set(self._accounts.everybody()).difference(waiting)
        return list(failed), error
