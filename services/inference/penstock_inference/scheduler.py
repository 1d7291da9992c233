"""Decide what each step computes: iteration-level scheduling over KV slots (Orca, OSDI 2022).

A step decodes one token of every running sequence and carries at most one chunk of one prompt, so a long prompt delays
running answers by a chunk and not by its length (Sarathi-Serve, OSDI 2024). Chunks always begin at multiples of the
chunk size: then no bit of a sequence's KV depends on what else was in its steps.
"""

import bisect
import math
from collections.abc import Iterable

from penstock_inference.engines import DecodeRow, EngineLimits, PrefillChunk, StepBatch
from penstock_inference.plan import Plan, SlotCopy
from penstock_inference.prefixes import SlotPrefixes
from penstock_inference.refusals import check_context, expired, overloaded
from penstock_inference.sequence import Sequence


class Scheduler:
    """Queue sequences and give them slots. Pure: the caller tells the time and runs the steps.

    The caller alternates `plan` and `commit`; `submit` and `cancel` may come between.
    """

    def __init__(self, limits: EngineLimits, waiting_max: int) -> None:
        self._limits = limits
        self._waiting_max = waiting_max
        self._waiting: list[Sequence] = []  # in order of turn
        self._slots: list[Sequence | None] = [None] * limits.slots_max
        self._prefixes = SlotPrefixes(limits.slots_max, limits.prefill_chunk_tokens_max)
        self._arrivals = 0
        self._reap_at = math.inf  # when somebody may have to be sent away

    @property
    def waiting(self) -> int:
        """Count the sequences that have no slot yet."""
        return len(self._waiting)

    @property
    def running(self) -> list[Sequence]:
        """Give the sequences in slots, by slot."""
        return [sequence for sequence in self._slots if sequence is not None]

    @property
    def kv_used_ratio(self) -> float:
        """Give the share of KV rows that hold a token of a running sequence."""
        rows = sum(sequence.computed_tokens for sequence in self.running)
        return rows / (self._limits.slots_max * self._limits.context_tokens_max)

    @property
    def idle(self) -> bool:
        """Tell whether a plan would be empty."""
        return not self._waiting and not any(self._slots)

    def submit(self, sequences: list[Sequence], now: float) -> None:
        """Queue all of them or none.

        Raises:
            InvalidArgument: a prompt leaves no room for an answer (CONTEXT_LENGTH_EXCEEDED).
            DeadlineExceeded: the deadline is past.
            ResourceExhausted: the queue is full (OVERLOADED).
        """
        for sequence in sequences:
            check_context(len(sequence.prompt), self._limits.context_tokens_max)
            assert len(sequence.prompt) + sequence.ends.max_tokens <= self._limits.context_tokens_max
            if sequence.urgency.deadline <= now:
                raise expired()
        if len(self._waiting) + len(sequences) > self._waiting_max + self._slots.count(None):
            raise overloaded(self._waiting_max)
        for sequence in sequences:
            self._arrivals += 1
            sequence.turn = (sequence.urgency.priority, self._arrivals)
            bisect.insort(self._waiting, sequence, key=_turn)
            self._reap_at = min(self._reap_at, sequence.urgency.deadline)

    def cancel(self, sequences: Iterable[Sequence]) -> None:
        """Let go of sequences with the next plan; those that ended already stay as they are."""
        for sequence in sequences:
            sequence.cancelled = True
        self._reap_at = -math.inf

    def plan(self, now: float) -> Plan:
        """Decide the next step."""
        plan = Plan()
        if now >= self._reap_at:
            self._reap(plan, now)
        if not self._waiting:
            self._close_gap(plan)
        plan.decoding = [sequence for sequence in self.running if not sequence.prefilling]
        plan.sampled = plan.decoding.copy()
        plan.prefilling = self._next_prefill(plan)
        chunk = None
        if plan.prefilling is not None:
            chunk = self._chunk(plan.prefilling)
            if chunk.wants_logits:
                plan.sampled.append(plan.prefilling)
        if plan.decoding or chunk:
            rows = [DecodeRow(_slot(s), s.tokens[-1], s.computed_tokens) for s in plan.decoding]
            plan.batch = StepBatch(rows, chunk)
        return plan

    def commit(self, plan: Plan) -> None:
        """Note that the planned step was computed, and free the slots of the answers that it finished."""
        for sequence in plan.decoding:
            sequence.computed_tokens += 1
        if plan.prefilling and plan.batch and plan.batch.prefill:
            sequence = plan.prefilling
            sequence.computed_tokens += len(plan.batch.prefill.tokens)
            self._prefixes.extend(_slot(sequence), sequence.computed_tokens)
        for sequence in plan.sampled:
            if sequence.finished:
                self._release(sequence)

    def evict(self, *, waiting_too: bool) -> list[Sequence]:
        """Empty the slots, whose contents are not to be trusted any more, and give who still waits."""
        for sequence in self.running:
            self._release(sequence)
        self._prefixes.clear()
        if waiting_too:
            self._waiting.clear()
        return list(self._waiting)

    def check_integrity(self) -> None:
        """Assert what holds between any two calls."""
        for slot, sequence in enumerate(self._slots):
            if sequence is not None:
                assert sequence.slot == slot
                assert not sequence.finished
                answered = len(sequence.tokens) - 1 if sequence.tokens else 0
                assert sequence.prefilling or sequence.computed_tokens == len(sequence.prompt) + answered
                assert sequence.computed_tokens <= self._limits.context_tokens_max
        assert all(sequence.slot is None and not sequence.tokens for sequence in self._waiting)
        assert self._waiting == sorted(self._waiting, key=_turn)
        assert len(self._waiting) <= self._waiting_max + len(self._slots)

    def _reap(self, plan: Plan, now: float) -> None:
        """Send away who was cancelled or whose deadline is past."""
        for sequence in [*self.running, *self._waiting]:
            if sequence.cancelled or sequence.urgency.deadline <= now:
                if sequence.slot is None:
                    self._waiting.remove(sequence)
                else:
                    self._release(sequence)
                plan.ended.append(sequence)
        remaining = [*self.running, *self._waiting]
        self._reap_at = min((sequence.urgency.deadline for sequence in remaining), default=math.inf)

    def _close_gap(self, plan: Plan) -> None:
        """Move the highest sequence into the lowest gap: an engine may compute every slot between two that run."""
        running = self.running
        if not running or _slot(running[-1]) - _slot(running[0]) + 1 == len(running):
            return
        moved, target = running[-1], self._slots.index(None, _slot(running[0]))
        source = _slot(moved)
        plan.copies.append(SlotCopy(source, target, moved.computed_tokens))
        self._prefixes.move(source, target)
        self._slots[source], self._slots[target], moved.slot = None, moved, target

    def _next_prefill(self, plan: Plan) -> Sequence | None:
        """Choose whose chunk is next; who waits and has the first turn gets a slot if there is one."""
        candidates = [sequence for sequence in self.running if sequence.prefilling]
        if self._waiting and None in self._slots:
            candidates.append(self._waiting[0])
        chosen = min(candidates, key=_turn, default=None)
        if chosen is not None and chosen.slot is None:
            self._start(self._waiting.pop(0), plan)
        return chosen

    def _start(self, sequence: Sequence, plan: Plan) -> None:
        slot = self._slots.index(None)
        prefix = self._prefixes.find(sequence.organization, sequence.prompt)
        if prefix.rows and prefix.slot != slot:
            plan.copies.append(SlotCopy(prefix.slot, slot, prefix.rows))
        self._prefixes.begin(slot, sequence.organization, sequence.prompt, prefix.rows)
        self._slots[slot], sequence.slot = sequence, slot
        sequence.computed_tokens = sequence.cached_tokens = prefix.rows
        plan.started.append(sequence)

    def _chunk(self, sequence: Sequence) -> PrefillChunk:
        start = sequence.computed_tokens
        end = min(start + self._limits.prefill_chunk_tokens_max, len(sequence.prompt))
        last = end == len(sequence.prompt)
        return PrefillChunk(_slot(sequence), sequence.prompt[start:end], start, wants_logits=last)

    def _release(self, sequence: Sequence) -> None:
        self._slots[_slot(sequence)] = None
        sequence.slot = None


def _turn(sequence: Sequence) -> tuple[int, int]:
    return sequence.turn


def _slot(sequence: Sequence) -> int:
    assert sequence.slot is not None
    return sequence.slot
