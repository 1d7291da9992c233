"""Steps of an engine that read like prose."""

import numpy as np
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch

PROMPTS = [[5, 6, 7], list(range(10, 40)), [100], [9] * 17, [1, 2, 3, 4, 5, 6]]


def prefill(engine: Engine, slot: int, tokens: list[int], past: int = 0) -> np.ndarray:
    return engine.step(StepBatch([], [PrefillChunk(slot, tokens, past, wants_logits=True)]))[0].copy()


def decode(engine: Engine, *rows: tuple[int, int, int]) -> np.ndarray:
    return engine.step(StepBatch([DecodeRow(*row) for row in rows])).copy()


def alone(engine: Engine, tokens: list[int], next_token: int) -> np.ndarray:
    """Answer what a sequence that has the engine for itself gets for its next token."""
    prefill(engine, 0, tokens)
    return decode(engine, (0, next_token, len(tokens)))[0]
