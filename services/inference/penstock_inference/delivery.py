"""What becomes of a step's tokens, in a thread beside the batch loop, which computes the next step meanwhile."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from servicekit.errors import INTERNAL_MESSAGE, Internal, ServiceError
from servicekit.logging import get_logger

from penstock_inference.accounts import Accounts, Deltas
from penstock_inference.job import Result
from penstock_inference.logprobs import TokenLogprob, token_logprob
from penstock_inference.metrics import BatchMetrics
from penstock_inference.plan import Plan
from penstock_inference.refusals import not_finite
from penstock_inference.sequence import Sequence
from penstock_inference.step_tokens import SampledToken, ScoredChunk, StepTokens

BEHIND_STEPS_MAX = 2  # then the batch loop waits

log = get_logger(__name__)

HandOver = Callable[[list[Result]], None]


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step gave."""

    plan: Plan
    tokens: StepTokens
    seconds: float


@dataclass(frozen=True, slots=True)
class _Failure:
    sequences: list[Sequence]
    error: ServiceError


class Delivery:
    """Text, log probabilities, accounts and journal of every step, in order, and then the callers."""

    def __init__(
        self,
        accounts: Accounts,
        metrics: BatchMetrics,
        hand_over: HandOver,
        *,
        stop: Callable[[list[Sequence]], None],
        recover: Callable[[Exception], tuple[list[Sequence], ServiceError]],
    ) -> None:
        """Start the thread. `stop` is told whose text has ended; `recover` of a defect, and says who ends with it."""
        self._accounts = accounts
        self._metrics = metrics
        self._hand_over = hand_over
        self._stop = stop
        self._recover = recover
        self._queue: queue.Queue[StepOutput | _Failure | None] = queue.Queue(BEHIND_STEPS_MAX)
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def put(self, output: StepOutput) -> None:
        """Deliver a step's output; wait if too many wait."""
        self._queue.put(output)

    def fail(self, sequences: list[Sequence], error: ServiceError) -> None:
        """End sequences with an error, once all that came before is delivered."""
        self._queue.put(_Failure(sequences, error))

    def close(self) -> None:
        """Deliver what waits. Blocks until that is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                results = self._results(item)
            except Exception as error:  # noqa: BLE001 - who was in the step is told, and the others go on
                results = self._accounts.fail(*self._recover(error))
            if results:
                self._hand_over(results)

    def _results(self, item: StepOutput | _Failure) -> list[Result]:
        if isinstance(item, _Failure):
            return self._accounts.fail(item.sequences, item.error)
        for chunk in item.tokens.scored:
            self._score(chunk)
        deltas, broken = self._deltas(item.tokens)
        over = [*(sequence for sequence, delta in deltas if delta.finish_reason), *(one for one, _ in broken)]
        ended = [sequence for sequence in over if not sequence.finished]
        if ended:
            self._stop(ended)
        results = self._accounts.settle(item.plan, deltas)
        results += self._accounts.fail(item.tokens.unfit, not_finite())
        for sequence, error in broken:
            results += self._accounts.fail([sequence], error)
        if item.plan.batch is not None:
            self._metrics.step(item.seconds, item.plan.batch, len(deltas))
            self._metrics.guessed(item.plan.guesses, item.tokens.guessed)
            self._metrics.preempted.inc(len(item.plan.preempted))
        return results

    def _deltas(self, tokens: StepTokens) -> tuple[Deltas, list[tuple[Sequence, ServiceError]]]:
        """Say what became of the answers that somebody still waits for, and which of them end with an error.

        Nothing comes behind an answer's end.
        """
        deltas: Deltas = []
        broken: list[tuple[Sequence, ServiceError]] = []
        over: set[Sequence] = set()
        for sampled in tokens.sampled:
            answer = self._accounts.answer(sampled.sequence)
            if answer is None or sampled.sequence in over:
                continue
            try:
                delta = answer.accept(sampled.token, _logprob(sampled))
            except Exception as error:  # noqa: BLE001 - whoever else is in the step has no part in it
                broken.append((sampled.sequence, _known(error)))
                over.add(sampled.sequence)
                continue
            deltas.append((sampled.sequence, delta))
            if delta.finish_reason:
                over.add(sampled.sequence)
        return deltas, broken

    def _score(self, chunk: ScoredChunk) -> None:
        answer, top = self._accounts.answer(chunk.sequence), chunk.sequence.sampler.top_logprobs or 0
        if answer is not None:
            rows = zip(chunk.logits, chunk.next_tokens, strict=True)
            answer.scored(tuple(token_logprob(row, token, top) for row, token in rows))


def _known(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    log.error("answer_failed", exc_info=error)
    return Internal("INTERNAL", INTERNAL_MESSAGE)


def _logprob(sampled: SampledToken) -> TokenLogprob | None:
    if sampled.logits is None:
        return None
    top = sampled.sequence.sampler.top_logprobs
    assert top is not None
    return token_logprob(sampled.logits, sampled.token, top)
