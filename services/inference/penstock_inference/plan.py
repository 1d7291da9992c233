"""What one step of the batch loop does."""

from dataclasses import dataclass, field

from penstock_inference.engines import DecodeRow, PrefillChunk, StepBatch
from penstock_inference.sequence import Sequence


@dataclass(frozen=True, slots=True)
class SlotCopy:
    """Copy the first rows of a slot's KV over those of another."""

    source: int
    target: int
    tokens: int


@dataclass(slots=True)
class Plan:
    """One step: the copies first, then the batch."""

    ended: list[Sequence] = field(default_factory=list)  # cancelled or expired; they have no slot any more
    started: list[Sequence] = field(default_factory=list)  # got a slot for the first time
    preempted: list[Sequence] = field(default_factory=list)  # lost it, and wait again
    copies: list[SlotCopy] = field(default_factory=list)
    decoding: list[Sequence] = field(default_factory=list)
    prefilling: list[Sequence] = field(default_factory=list)  # one for each chunk of the batch
    coming_blocks: set[bytes] = field(
        default_factory=set
    )  # that the chunks complete, for others to copy later
    sampled: list[Sequence] = field(default_factory=list)  # whose next token comes of it
    sampled_rows: list[int] = field(default_factory=list)  # of the logits, one for each of them
    batch: StepBatch | None = None  # None: there is nothing to compute

    def build(self, chunks: list[PrefillChunk]) -> None:
        """Make the batch of those who decode and of the chunks, and note whose next token comes of which row."""
        rows = [DecodeRow(s.held_slot, s.next_token, s.computed_tokens, s.adapter) for s in self.decoding]
        for row, sequence in enumerate(self.decoding):
            if sequence.completed_by(1):
                self._sample(sequence, row)
        logit_rows = len(rows)
        for sequence, chunk in zip(self.prefilling, chunks, strict=True):
            logit_rows += chunk.logit_rows
            if chunk.wants_logits:
                self._sample(sequence, logit_rows - 1)
        if rows or chunks:
            self.batch = StepBatch(rows, chunks)

    def _sample(self, sequence: Sequence, row: int) -> None:
        self.sampled.append(sequence)
        self.sampled_rows.append(row)
