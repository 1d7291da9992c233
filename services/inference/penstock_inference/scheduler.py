"""Decide what each step computes: iteration-level scheduling over KV slots (Orca, OSDI 2022).

A step has a budget of tokens: it decodes the next token of every running sequence and fills the rest with chunks of
prompts, so a long prompt delays running answers by a chunk and not by its length (Sarathi-Serve, OSDI 2024), and what
room is left with tokens that are guessed (speculation.py). What is computed of a prompt for one is copied for others,
and who was preempted decodes again what it had: no bit of a sequence's KV depends on what else was in its steps
(decision 10).
"""

import math
from collections.abc import Iterable

from penstock_inference.admission import Admission
from penstock_inference.engines import EngineLimits, PrefillChunk
from penstock_inference.fairness import ANSWER_TOKEN_COST, TokenCounters
from penstock_inference.pace import Pace
from penstock_inference.plan import Plan
from penstock_inference.prefill import Prefill
from penstock_inference.prefixes import hash_blocks
from penstock_inference.sequence import Sequence
from penstock_inference.slots import Slots
from penstock_inference.speculation import tokens_ahead
from penstock_inference.waiting_line import WaitingLine


class Scheduler:
    """Queue sequences and give them slots. Pure: the caller tells the time and runs the steps.

    The caller alternates `plan` and `commit`; everything else may come between.
    """

    def __init__(self, limits: EngineLimits, waiting_max: int, guesses_max: int = 0) -> None:
        """Begin with empty slots. A step guesses `guesses_max` tokens of an answer, where that changes no bit."""
        self._limits = limits
        self._guesses_max = guesses_max if limits.reads_as_it_decodes else 0
        self._counters = TokenCounters()
        self._line = WaitingLine(self._counters)
        self._slots = Slots(limits)
        self._pace = Pace()
        self._admission = Admission(limits, waiting_max, self._pace, 1 + self._guesses_max)
        self._prefill = Prefill(limits, self._line, self._slots, self._counters, self._pace)
        self._arrivals = 0
        self._reap_at = math.inf  # when somebody may have to be sent away

    @property
    def waiting(self) -> int:
        """Count the sequences that have no slot."""
        return len(self._line)

    @property
    def running(self) -> list[Sequence]:
        """Give the sequences in slots, by slot."""
        return self._slots.running

    @property
    def kv_used_ratio(self) -> float:
        """Give the share of KV rows that hold a token of a running sequence."""
        rows = sum(sequence.computed_tokens for sequence in self.running)
        return rows / (self._limits.slots_max * self._limits.context_tokens_max)

    @property
    def idle(self) -> bool:
        """Tell whether a plan would be empty."""
        return not self._line and not self._slots.running

    def submit(self, sequences: list[Sequence], now: float) -> None:
        """Queue all of them or none.

        Raises:
            InvalidArgument: a prompt leaves no room for an answer (CONTEXT_LENGTH_EXCEEDED).
            DeadlineExceeded: the deadline is past, or cannot be met.
            ResourceExhausted: the queue is full (OVERLOADED).
        """
        self._admission.check(sequences, self._line, self._slots.free, now)
        for sequence in sequences:
            self._arrivals += 1
            sequence.arrival, sequence.submit_time = self._arrivals, now
            sequence.block_names = hash_blocks(
                sequence.cache_partition, sequence.prompt, self._limits.block_tokens
            )
            self._line.add(sequence)
            self._reap_at = min(self._reap_at, self._admission.latest_start(sequence))

    def cancel(self, sequences: Iterable[Sequence]) -> None:
        """Let go of sequences with the next plan; those that ended already stay as they are."""
        for sequence in sequences:
            sequence.cancelled = True
        self._reap_at = -math.inf

    def stop(self, sequences: Iterable[Sequence]) -> None:
        """Let go of sequences whose text has ended them, with the next plan, which does not name them."""
        for sequence in sequences:
            sequence.stopped = True
            self._reap_at = -math.inf

    def plan(self, now: float) -> Plan:
        """Decide the next step."""
        plan = Plan()
        if now >= self._reap_at:
            self._reap(plan, now)
        if not self._line:
            self._slots.close_gap(plan)
        plan.decoding = [sequence for sequence in self.running if not sequence.prefilling]
        chunks = self._prefill.fill(plan, now)
        plan.build(chunks, tokens_ahead(plan.decoding, self._room_ahead(chunks), self._guesses_max))
        return plan

    def commit(self, plan: Plan, seconds: float = 0.0) -> None:
        """Note that the planned step was computed, in how many seconds, and free the slots of finished answers."""
        rows, chunks = (plan.batch.decode, plan.batch.prefills) if plan.batch else ((), ())
        for sequence, row in zip(plan.decoding, rows, strict=True):
            if sequence.slot is not None:  # nobody evicted it meanwhile
                computed = row.past_tokens + len(row.tokens)
                # Behind what is known by now are wrong guesses, and the last token has no row yet.
                sequence.computed_tokens = min(computed, sequence.known_tokens - 1)
        for sequence, chunk in zip(plan.prefilling, chunks, strict=True):
            if sequence.slot is not None:
                sequence.computed_tokens += len(chunk.tokens)
                self._slots.prefixes.extend(sequence.slot, sequence.computed_tokens)
        for sequence in (choice.sequence for choice in plan.choices):
            new_tokens = len(sequence.tokens) - sequence.charged_tokens
            self._counters.charge(sequence.organization, ANSWER_TOKEN_COST * new_tokens)
            sequence.charged_tokens += new_tokens
            if sequence.finished and sequence.slot is not None:
                self._slots.release(sequence)
        if plan.batch is not None:
            self._pace.stepped(seconds)

    def discard(self, sequences: Iterable[Sequence]) -> None:
        """Empty the slots of sequences at once, and forget what is in them, which is nonsense."""
        for sequence in sequences:
            if sequence.slot is not None:
                self._slots.discard(sequence)

    def evict(self, *, waiting_too: bool) -> list[Sequence]:
        """Empty the slots, whose contents are not to be trusted any more, and give who still waits."""
        for sequence in self.running:
            self._slots.release(sequence)
        self._slots.prefixes.clear()
        if waiting_too:
            for sequence in list(self._line):
                self._line.remove(sequence)
        return list(self._line)

    def of_adapter(self, adapter: str | None) -> list[Sequence]:
        """Give the sequences, running and waiting, that an adapter changes the model for, or none does."""
        return [sequence for sequence in (*self.running, *self._line) if sequence.adapter == adapter]

    def check_integrity(self) -> None:
        """Assert what holds between a commit and the next plan."""
        self._slots.check_integrity()
        waiting = list(self._line)
        assert all(sequence.slot is None and not sequence.computed_tokens for sequence in waiting)
        assert all(bool(sequence.tokens) <= bool(sequence.preemptions) for sequence in waiting)
        assert len(waiting) == len(self._line)
        assert sum(map(self._counters.waiting, {s.organization for s in waiting})) == len(waiting)

    def _room_ahead(self, chunks: list[PrefillChunk]) -> int:
        """Count the tokens that a step may compute beside its chunks and the next token of each answer."""
        if not self._limits.reads_as_it_decodes:
            return 0
        return self._limits.prefill_chunk_tokens_max - sum(len(chunk.tokens) for chunk in chunks)

    def _reap(self, plan: Plan, now: float) -> None:
        """Send away who was cancelled, has ended or is late."""
        for sequence in [*self.running, *self._line]:
            if not (sequence.cancelled or sequence.stopped or self._admission.latest_start(sequence) <= now):
                continue
            if sequence.slot is None:
                self._line.remove(sequence)
            else:
                self._slots.release(sequence)
            if not sequence.stopped:
                plan.ended.append(sequence)
        remaining = [*self.running, *self._line]
        self._reap_at = min(map(self._admission.latest_start, remaining), default=math.inf)
