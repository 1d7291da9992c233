"""What one step of the batch loop does."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock_inference.engines import DecodeRow, PrefillChunk, StepBatch
from penstock_inference.sequence import Sequence


@dataclass(frozen=True, slots=True)
class SlotCopy:
    """Copy the first rows of a slot's KV over those of another."""

    source: int
    target: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A next token that comes of a row of a step's logits; those behind come of the next rows if they were guessed."""

    sequence: Sequence
    row: int
    guesses: list[int] = field(default_factory=list)


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
    choices: list[Choice] = field(default_factory=list)
    batch: StepBatch | None = None  # None: there is nothing to compute

    @property
    def guesses(self) -> int:
        """Count the tokens that are guessed."""
        return sum(len(choice.guesses) for choice in self.choices)

    def build(self, chunks: list[PrefillChunk], tokens_ahead: Iterable[list[int]]) -> None:
        """Make the batch of those who decode and of the chunks, and note whose next token comes of which row."""
        rows, logit_rows = [], 0
        for sequence, ahead in zip(self.decoding, tokens_ahead, strict=True):
            rows.append(
                DecodeRow(
                    sequence.held_slot,
                    sequence.next_token,
                    sequence.computed_tokens,
                    sequence.adapter,
                    ahead,
                )
            )
            known = len(sequence.known_ahead)
            if known <= len(ahead):
                self.choices.append(Choice(sequence, logit_rows + known, ahead[known:]))
            logit_rows += 1 + len(ahead)
        for sequence, chunk in zip(self.prefilling, chunks, strict=True):
            logit_rows += chunk.logit_rows
            if chunk.wants_logits:
                self.choices.append(Choice(sequence, logit_rows - 1))
        if rows or chunks:
            self.batch = StepBatch(rows, chunks)
