"""Which prompts a step reads, and who gets a slot for that: by turn, within the step's budget of tokens. Pure."""

from penstock_inference.engines import EngineLimits, PrefillChunk
from penstock_inference.fairness import PROMPT_TOKEN_COST, TokenCounters
from penstock_inference.pace import Pace
from penstock_inference.plan import Plan
from penstock_inference.sequence import Sequence
from penstock_inference.slots import Slots
from penstock_inference.waiting_line import WaitingLine, level

PREEMPTIONS_MAX = 2  # of one sequence; then it keeps its slot


class Prefill:
    """Fill steps with chunks of prompts. It shares the scheduler's line, slots and counters."""

    def __init__(
        self, limits: EngineLimits, line: WaitingLine, slots: Slots, counters: TokenCounters, pace: Pace
    ) -> None:
        self._limits = limits
        self._line = line
        self._slots = slots
        self._counters = counters
        self._pace = pace

    def fill(self, plan: Plan, now: float) -> list[PrefillChunk]:
        """Read prompts while the step has room: whose reading has begun, and who may begin, by turn.

        Who needs a block that this very step computes for another waits one step, and copies it.
        """
        budget = self._limits.prefill_chunk_tokens_max
        chunks: list[PrefillChunk] = []
        reading = sorted(
            (sequence for sequence in self._slots.running if sequence.prefilling),
            key=lambda sequence: (level(sequence, now), sequence.arrival),
        )
        while budget:
            sequence = self._next_to_read(reading, plan, now)
            if sequence is None:
                break
            chunk = self._chunk(sequence)
            if len(chunk.tokens) > budget:
                break
            budget -= len(chunk.tokens)
            chunks.append(chunk)
            plan.prefilling.append(sequence)
            plan.coming_blocks.update(self._completed_blocks(sequence, chunk))
        return chunks

    def _next_to_read(self, reading: list[Sequence], plan: Plan, now: float) -> Sequence | None:
        first = self._line.first(now)
        if first is not None and self._may_begin(first, reading, plan, now):
            if not self._slots.free:
                self._preempt_for(first, plan)
            if self._slots.free:
                self._start(first, plan, now)
                return first
        while reading:
            sequence = reading.pop(0)
            self._slots.catch_up(sequence, plan)
            if not self._is_coming(sequence, sequence.computed_tokens, plan):
                return sequence
        return None

    def _may_begin(self, first: Sequence, reading: list[Sequence], plan: Plan, now: float) -> bool:
        """Tell whether who is first in the line goes before who is being read, and waits for nobody's block."""
        overtakes = not reading or level(first, now) < level(reading[0], now)
        rows = self._slots.prefixes.find(first.wanted_blocks).rows
        return overtakes and not self._is_coming(first, rows, plan)

    def _is_coming(self, sequence: Sequence, rows: int, plan: Plan) -> bool:
        """Tell whether the planned chunks compute what a prompt needs behind so many rows."""
        blocks = sequence.wanted_blocks[rows // self._limits.block_tokens :]
        return bool(blocks) and blocks[0] in plan.coming_blocks

    def _preempt_for(self, sequence: Sequence, plan: Plan) -> None:
        """Take the slot of the least urgent of those who are less urgent, of equals from whom it costs least."""
        victims = [
            victim
            for victim in plan.decoding
            if victim.urgency.priority > sequence.urgency.priority and victim.preemptions < PREEMPTIONS_MAX
        ]
        if not victims:
            return
        victim = min(victims, key=lambda victim: (-victim.urgency.priority, victim.computed_tokens))
        plan.decoding.remove(victim)
        plan.preempted.append(victim)
        self._slots.release(victim)
        victim.computed_tokens = 0
        victim.preemptions += 1
        self._line.add(victim)

    def _start(self, sequence: Sequence, plan: Plan, now: float) -> None:
        self._line.remove(sequence)
        self._slots.take(sequence, plan)
        if not sequence.preemptions:
            plan.started.append(sequence)
            new_tokens = len(sequence.prompt) - sequence.cached_tokens
            self._counters.charge(sequence.organization, PROMPT_TOKEN_COST * new_tokens)
        self._pace.started(now, waiting=len(self._line) > 0)

    def _chunk(self, sequence: Sequence) -> PrefillChunk:
        start = sequence.computed_tokens
        end = min(start + self._limits.prefill_chunk_tokens_max, len(sequence.prompt))
        if len(sequence.prompt) - end == 1:
            end -= 1  # engines compute a token that comes alone in another way (decision 10)
        wants_logits = sequence.completed_by(end - start)
        tokens = sequence.prompt[start:end]
        return PrefillChunk(
            sequence.held_slot, tokens, start, wants_logits, sequence.scores_prompt, sequence.adapter
        )

    def _completed_blocks(self, sequence: Sequence, chunk: PrefillChunk) -> list[bytes]:
        ends = (chunk.past_tokens, chunk.past_tokens + len(chunk.tokens))
        first, last = (rows // self._limits.block_tokens for rows in ends)
        return sequence.block_names[first:last]
