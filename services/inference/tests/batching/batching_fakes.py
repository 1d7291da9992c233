"""An engine whose next token depends on every token before it and on nothing else, and jobs for it."""

import asyncio
import itertools
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from penstock_inference.accounts import Accounts
from penstock_inference.answer import Answer, Delta, FinishReason
from penstock_inference.answer_text import AnswerText
from penstock_inference.batcher import Batcher
from penstock_inference.engines import EngineLimits, Logits, StepBatch
from penstock_inference.engines.batch_check import check_batch
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.job import Job, Outcome, deliver
from penstock_inference.journal import Journal
from penstock_inference.metrics import BatchMetrics
from penstock_inference.sampler import Sampler, SamplingParameters, TokenMask, choose_tokens
from penstock_inference.sampling import Controls
from penstock_inference.scheduler import Scheduler
from penstock_inference.sequence import EndConditions, Sequence, Urgency
from penstock_inference.tokenizer import Tokenizer
from penstock_inference.usage_record import Attempt
from penstock_inference.work import WorkModel
from servicekit.errors import ResourceExhausted
from servicekit.metrics import Metrics
from testkit.waiting import SECONDS_MAX, until

VOCABULARY = 64
END = 0
LIMITS = EngineLimits(VOCABULARY, slots_max=4, context_tokens_max=48, prefill_chunk_tokens_max=4)
GUESSING = replace(LIMITS, reads_as_it_decodes=True)
GREEDY = SamplingParameters(Controls(temperature=0))


class FakeEngine:
    """Keeps the tokens of each slot as an engine keeps keys and values, and refuses what an engine would."""

    def __init__(
        self, limits: EngineLimits = LIMITS, compute: Callable[[list[int]], np.ndarray] | None = None
    ) -> None:
        self._limits = limits
        self._compute = compute or next_logits
        self._rows: list[list[int]] = [[] for _ in range(limits.slots_max)]
        self.batches: list[StepBatch] = []
        self.copies: list[tuple[int, int, int]] = []
        self.before_step: Callable[[], None] = lambda: None
        self.closed = False

    @property
    def limits(self) -> EngineLimits:
        return self._limits

    def step(self, batch: StepBatch) -> Logits:
        self.before_step()
        check_batch(batch, self._limits, [len(rows) for rows in self._rows])
        self.batches.append(batch)
        wanted: list[list[int]] = []
        for part in batch.parts:
            history = self._rows[part.slot]
            history[part.past_tokens :] = part.tokens
            wanted += [history[: len(history) - behind] for behind in reversed(range(part.logit_rows))]
        logits = [self._compute(history) for history in wanted]
        return np.stack(logits) if logits else np.empty((0, VOCABULARY), np.float32)

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        assert tokens <= len(self._rows[source])
        self.copies.append((source, target, tokens))
        self._rows[target] = self._rows[source][:tokens]

    def close(self) -> None:
        self.closed = True


def next_logits(history: list[int]) -> np.ndarray:
    """Follow a habit of the last token mostly, so that answers repeat themselves, but heed every token before it."""
    habit, mood = (
        np.random.default_rng(zlib.crc32(bytes(heeded))).standard_normal(VOCABULARY)
        for heeded in (history[-1:], history)
    )
    return (2 * habit + mood).astype(np.float32)


def greedy_answer(
    prompt: list[int], max_tokens: int, end_tokens: frozenset[int] = frozenset({END})
) -> list[int]:
    """Compute the answer alone, without slots, chunks or batches."""
    tokens: list[int] = []
    while len(tokens) < max_tokens and not (tokens and tokens[-1] in end_tokens):
        tokens.append(int(next_logits([*prompt, *tokens]).argmax()))
    return tokens


def answer_alone(sequence: Sequence) -> list[int]:
    """Answer token by token, however it is to be chosen, without slots, chunks or batches."""
    while not sequence.finished:
        logits = next_logits([*sequence.prompt, *sequence.tokens])
        (token,) = choose_tokens(logits[np.newaxis], [sequence.sampler])
        sequence.append(token)
    return sequence.tokens


def byte_tokenizer() -> Tokenizer:
    """One token a byte from 1 up; 0 ends an answer."""
    tokens = ["<|end|>", *(chr(0x100 + place) for place in range(33)), *map(chr, range(0x21, 0x21 + 30))]
    vocabulary = ByteLevelVocabulary(
        tokens, [], control_ids=[END], user_defined_ids=[], pre_tokenizer="gpt-2"
    )
    return Tokenizer(byte_level_tokenizer_json(vocabulary))


TOKENIZER = byte_tokenizer()


def make_sequence(
    prompt: list[int],
    *,
    max_tokens: int = 8,
    organization: str = "acme",
    urgency: Urgency | None = None,
    sampling: SamplingParameters = GREEDY,
    end_tokens: frozenset[int] = frozenset({END}),
    key: tuple[int, int] = (1, 0),
    min_tokens: int = 0,
    scores_prompt: bool = False,
    mask: TokenMask | None = None,
) -> Sequence:
    max_tokens = min(max_tokens, LIMITS.context_tokens_max - len(prompt))
    return Sequence(
        prompt,
        organization=organization,
        urgency=urgency or Urgency(),
        ends=EndConditions(end_tokens, max_tokens, min_tokens),
        sampler=Sampler(sampling, prompt, max_tokens, key, mask),
        scores_prompt=scores_prompt,
    )


class Caller:
    """Whoever sent a job: collects what comes, and waits for ends."""

    _operations = itertools.count()

    def __init__(self, sequences: list[Sequence], stops: tuple[str, ...] = ()) -> None:
        self.outcomes: list[tuple[int, Outcome]] = []
        self._ended = asyncio.Event()
        self._open = len(sequences)
        self.attempt = Attempt(f"operation-{next(self._operations)}", 0, "fake")
        answers = [Answer(sequence.ends, AnswerText(TOKENIZER, stops)) for sequence in sequences]
        self.job = Job(sequences, answers, self.attempt, self._receive)

    async def ended(self) -> None:
        await asyncio.wait_for(self._ended.wait(), SECONDS_MAX)

    @property
    def errors(self) -> list[Exception]:
        return [outcome for _, outcome in self.outcomes if isinstance(outcome, Exception)]

    @property
    def text(self) -> str:
        return "".join(outcome.text for _, outcome in self.outcomes if isinstance(outcome, Delta))

    @property
    def finish_reasons(self) -> list[FinishReason]:
        deltas = [outcome for _, outcome in self.outcomes if isinstance(outcome, Delta)]
        return [delta.finish_reason for delta in deltas if delta.finish_reason]

    def _receive(self, index: int, outcome: Outcome) -> None:
        self.outcomes.append((index, outcome))
        self._open -= isinstance(outcome, Exception) or outcome.finish_reason is not None
        if not self._open:
            self._ended.set()


class Loop:
    """A batcher with its scheduler, its engine and its metrics, for a test to look at."""

    def __init__(self, engine: FakeEngine, journal: Journal, scheduler: Scheduler) -> None:
        loop = asyncio.get_running_loop()
        self.engine = engine
        self.scheduler = scheduler
        self.metrics = Metrics()
        batch_metrics = BatchMetrics(self.metrics, "fake", WorkModel(100, 10, 5, 3, 1))
        batch_metrics.watch(self.scheduler)
        self.accounts = Accounts(journal, batch_metrics)
        self.batcher = Batcher(
            engine,
            self.scheduler,
            self.accounts,
            batch_metrics,
            lambda results: loop.call_soon_threadsafe(deliver, results),
        )

    def submit(self, *sequences: Sequence, stops: tuple[str, ...] = ()) -> Caller:
        caller = Caller(list(sequences), stops)
        self.batcher.submit(caller.job)
        return caller

    async def submit_when_there_is_room(self, sequence: Sequence) -> Caller:
        while True:
            try:
                return self.submit(sequence)
            except ResourceExhausted:
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until nothing runs or waits, and all is delivered."""
        await until(lambda: self.scheduler.idle and not self.accounts.everybody())

    def close(self) -> None:
        self.batcher.close()


class Gate:
    """Hold an engine's steps until a test lets them go."""

    def __init__(self, engine: FakeEngine) -> None:
        self._steps = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)
        self.failure: Exception | None = None  # raised once, by the step that is let go next
        engine.before_step = self._wait

    async def entered(self) -> None:
        """Wait until a step has begun."""
        assert await asyncio.to_thread(self._entered.acquire, True, SECONDS_MAX)

    def let_go(self, steps: int = 1) -> None:
        self._steps.release(steps)

    def open(self) -> None:
        self._steps.release(1_000_000)

    def _wait(self) -> None:
        self._entered.release()
        assert self._steps.acquire(timeout=SECONDS_MAX)
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
