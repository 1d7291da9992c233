"""Who may wait for a slot: whose prompt fits, whose deadline can be met, and for whom the queue has a place."""

from penstock_inference.engines import EngineLimits
from penstock_inference.pace import Pace
from penstock_inference.refusals import check_context, expired, overloaded
from penstock_inference.sequence import Sequence
from penstock_inference.waiting_line import WaitingLine


class Admission:
    """Refuse at once what cannot be served."""

    def __init__(self, limits: EngineLimits, waiting_max: int, pace: Pace, step_tokens_max: int) -> None:
        self._limits = limits
        self._waiting_max = waiting_max
        self._pace = pace
        self._step_tokens_max = step_tokens_max  # of an answer

    def check(self, sequences: list[Sequence], line: WaitingLine, free_slots: int, now: float) -> None:
        """Admit all answers to a request or none. Raises as Scheduler.submit does."""
        for sequence in sequences:
            check_context(len(sequence.prompt), self._limits.context_tokens_max)
            assert len(sequence.prompt) + sequence.ends.max_tokens <= self._limits.context_tokens_max
            if self.latest_start(sequence) <= now:
                raise expired()
        if not line.takes(sequences[0].organization, len(sequences), self._waiting_max + free_slots):
            raise overloaded(self._waiting_max, self._pace.seconds_until_started(len(line)))

    def latest_start(self, sequence: Sequence) -> float:
        """Give the time after which the fewest tokens of an answer cannot come before its deadline."""
        if sequence.slot is not None:
            return sequence.urgency.deadline
        steps = -(-len(sequence.prompt) // self._limits.prefill_chunk_tokens_max)
        steps += -(-max(sequence.ends.min_tokens - 1, 0) // self._step_tokens_max)
        return sequence.urgency.deadline - steps * self._pace.step_seconds
