"""Hold a batch against the contract of Engine, before anything is computed."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from penstock_inference.engines import EngineLimits, StepBatch


def check_batch(batch: StepBatch, limits: EngineLimits, written_rows: Sequence[int]) -> None:
    """Refuse what an engine would answer with rubbish, or by killing the process.

    `written_rows` says how many KV rows each slot holds. Raises ValueError.
    """
    parts = [_Part(row.slot, row.tokens, row.past_tokens) for row in batch.decode]
    parts += [_Part(chunk.slot, chunk.tokens, chunk.past_tokens) for chunk in batch.prefills]
    if not parts:
        raise ValueError("a step needs at least one decode row or a prefill chunk")
    if len({part.slot for part in parts}) < len(parts):
        raise ValueError("a slot occurs twice in one step")
    for part in parts:
        part.check(limits, written_rows)
    ahead = batch.decode_tokens - len(batch.decode)
    if ahead and not limits.reads_as_it_decodes:
        raise ValueError("this engine decodes one token of a sequence a step")
    if ahead + sum(len(chunk.tokens) for chunk in batch.prefills) > limits.prefill_chunk_tokens_max:
        raise ValueError(f"a step takes {limits.prefill_chunk_tokens_max} tokens of prompts and ahead")


def check_adapters(batch: StepBatch, known: Container[object]) -> None:
    """Refuse a batch that names an adapter that is not loaded. Raises ValueError."""
    for name in batch.adapters:
        if name not in known:
            raise ValueError(f"there is no adapter {name}")


@dataclass(frozen=True, slots=True)
class _Part:
    slot: int
    tokens: Sequence[int]
    past_tokens: int

    def check(self, limits: EngineLimits, written_rows: Sequence[int]) -> None:
        if not 0 <= self.slot < limits.slots_max:
            raise ValueError(f"there is no slot {self.slot}")
        if not 1 <= len(self.tokens) <= limits.prefill_chunk_tokens_max:
            raise ValueError(f"{len(self.tokens)} tokens are not 1 to {limits.prefill_chunk_tokens_max}")
        if not 0 <= self.past_tokens <= written_rows[self.slot]:
            raise ValueError(f"slot {self.slot} holds {written_rows[self.slot]} rows, not {self.past_tokens}")
        if self.past_tokens + len(self.tokens) > limits.context_tokens_max:
            raise ValueError(f"slot {self.slot} is full: it holds {limits.context_tokens_max} tokens")
        if not 0 <= min(self.tokens) <= max(self.tokens) < limits.vocabulary_tokens:
            raise ValueError(f"token ids lie between 0 and {limits.vocabulary_tokens - 1}")
