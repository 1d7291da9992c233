"""Hold a batch against the contract of Engine, before anything is computed."""

from collections.abc import Container, Sequence

from penstock_inference.engines import DecodeRow, EngineLimits, PrefillChunk, StepBatch


def check_batch(batch: StepBatch, limits: EngineLimits, written_rows: Sequence[int]) -> None:
    """Refuse what an engine would answer with rubbish, or by killing the process.

    `written_rows` says how many KV rows each slot holds. Raises ValueError.
    """
    if not batch.parts:
        raise ValueError("a step needs at least one decode row or a prefill chunk")
    if len({part.slot for part in batch.parts}) < len(batch.parts):
        raise ValueError("a slot occurs twice in one step")
    for part in batch.parts:
        _check_part(part, limits, written_rows)
    ahead = sum(len(row.ahead) for row in batch.decode)
    if ahead and not limits.reads_as_it_decodes:
        raise ValueError("this engine decodes one token of a sequence a step")
    if ahead + sum(len(chunk.tokens) for chunk in batch.prefills) > limits.prefill_chunk_tokens_max:
        raise ValueError(f"a step takes {limits.prefill_chunk_tokens_max} tokens of prompts and ahead")


def check_adapters(batch: StepBatch, known: Container[object]) -> None:
    """Refuse a batch that names an adapter that is not loaded. Raises ValueError."""
    for name in batch.adapters:
        if name not in known:
            raise ValueError(f"there is no adapter {name}")


def _check_part(part: DecodeRow | PrefillChunk, limits: EngineLimits, written_rows: Sequence[int]) -> None:
    if not 0 <= part.slot < limits.slots_max:
        raise ValueError(f"there is no slot {part.slot}")
    if not part.tokens:
        raise ValueError(f"slot {part.slot} is to compute no token")
    if not 0 <= part.past_tokens <= written_rows[part.slot]:
        raise ValueError(f"slot {part.slot} holds {written_rows[part.slot]} rows, not {part.past_tokens}")
    if part.past_tokens + len(part.tokens) > limits.context_tokens_max:
        raise ValueError(f"slot {part.slot} is full: it holds {limits.context_tokens_max} tokens")
    if not 0 <= min(part.tokens) <= max(part.tokens) < limits.vocabulary_tokens:
        raise ValueError(f"token ids lie between 0 and {limits.vocabulary_tokens - 1}")
