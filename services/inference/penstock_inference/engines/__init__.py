"""What the batcher asks of an engine: the one seam between scheduling and arithmetic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penstock_inference.formats.lora import LoraWeights

Logits = npt.NDArray[np.float32]

_BLOCK_TOKENS = 16  # less than the tokens that users add to a common beginning, and few enough to be named


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What an engine was built for: its vocabulary and the shape of its KV memory."""

    vocabulary_tokens: int
    slots_max: int
    context_tokens_max: int  # rows of KV a slot holds: prompt and answer together
    prefill_chunk_tokens_max: int  # prompt tokens that one step may carry, at least 3
    reads_as_it_decodes: bool = (
        False  # a token gets the same bits beside others of its sequence as one by one
    )

    @property
    def block_tokens(self) -> int:
        """Say how many tokens prompts have to have in common for each further piece that they share."""
        return min(_BLOCK_TOKENS, self.prefill_chunk_tokens_max)


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """Feed the next token of a running sequence and, on an engine that reads as it decodes, tokens ahead of it."""

    slot: int
    token: int
    past_tokens: int  # rows of KV already written in the slot; the token is written at this row
    adapter: str | None = None  # what changes the model for this row, on an engine that has it loaded
    ahead: Sequence[int] = ()  # what is known or guessed to come then

    @property
    def tokens(self) -> tuple[int, ...]:
        """Give all that it feeds."""
        return (self.token, *self.ahead)

    @property
    def logit_rows(self) -> int:
        """Count the rows of logits that a step gives for it: one behind each of its tokens."""
        return 1 + len(self.ahead)


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Feed the next tokens of one prompt."""

    slot: int
    tokens: Sequence[int]
    past_tokens: int
    wants_logits: bool  # of its last token
    wants_all_logits: bool = False  # of each of its tokens
    adapter: str | None = None  # what changes the model for this chunk

    @property
    def logit_rows(self) -> int:
        """Count the rows of logits that a step gives for it."""
        return len(self.tokens) if self.wants_all_logits else int(self.wants_logits)


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One iteration: at most one row a running sequence, and chunks of prompts.

    At least one part is present. Slots are distinct, and chunks and what rows carry ahead have together at most as many
    tokens as one chunk may have.
    (Orca, OSDI 2022; Sarathi-Serve, OSDI 2024.)
    """

    decode: Sequence[DecodeRow]
    prefills: Sequence[PrefillChunk] = ()

    @property
    def parts(self) -> tuple[DecodeRow | PrefillChunk, ...]:
        """Give its rows and chunks, in the order in which their logits come."""
        return (*self.decode, *self.prefills)

    @property
    def adapters(self) -> set[str]:
        """Give the adapters that it names."""
        return {part.adapter for part in self.parts if part.adapter is not None}


class Engine(Protocol):
    """Run steps of one model over KV slots. Not thread-safe: one thread calls it."""

    @property
    def limits(self) -> EngineLimits:
        """Say what the engine was built for."""

    def step(self, batch: StepBatch) -> Logits:
        """Run one iteration and return logits `[logit_rows of each part, vocabulary]`, in the order of the parts.

        The array may be reused by the next step.
        Slots from the lowest to the highest of `decode` are computed, wanted or not: keep them together.
        Raises ValueError for a batch that breaks these rules; nothing has changed then.
        """

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` KV rows of a slot over those of another.

        Raises ValueError if the source holds fewer.
        """

    def close(self) -> None:
        """Give back memory and threads; no call may follow."""


class Adapters(Protocol):
    """The adapters that rows of an engine's steps may name. Any thread may call it, also while a step is computed."""

    def add(self, name: str, weights: LoraWeights, hold: Callable[[int], None]) -> None:
        """Let steps name an adapter. `hold` is told how many bytes it takes, and may raise to refuse them."""

    def remove(self, name: str) -> None:
        """Free an adapter that no step names any more."""
