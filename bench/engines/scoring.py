"""Perplexity through the Engine protocol: the half of a window that is scored is fed as an answer would be."""

import numpy as np
import numpy.typing as npt
from penstock_inference.engines import DecodeRow, Engine, Logits, PrefillChunk, StepBatch


def nats_per_token(engine: Engine, windows: npt.NDArray[np.int64]) -> float:
    """Score the second half of each window `[windows, tokens]`, given what is before, all windows side by side."""
    count, tokens = len(windows), len(windows[0])
    half = tokens // 2
    logits = np.vstack(
        [_prefill(engine, slot, window[:half].tolist()) for slot, window in enumerate(windows)]
    )
    total = _negative_log_likelihood(logits, windows[:, half])
    for past in range(half, tokens - 1):
        rows = [DecodeRow(slot, int(token), past) for slot, token in enumerate(windows[:, past])]
        total += _negative_log_likelihood(engine.step(StepBatch(rows)), windows[:, past + 1])
    return total / (count * (tokens - half))


def _prefill(engine: Engine, slot: int, prompt: list[int]) -> Logits:
    """Feed a prompt chunk by chunk and return the logits after its last token `[1, vocabulary]`."""
    size = engine.limits.prefill_chunk_tokens_max
    for past in range(0, len(prompt), size):
        is_last = past + size >= len(prompt)
        logits = engine.step(
            StepBatch([], [PrefillChunk(slot, prompt[past : past + size], past, wants_logits=is_last)])
        )
    return logits.copy()


def _negative_log_likelihood(logits: Logits, targets: npt.NDArray[np.int64]) -> float:
    """Sum -log softmax at the targets, in nats."""
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    chosen = exact[np.arange(len(targets)), targets]
    return float((np.log(np.exp(exact).sum(axis=1)) - chosen).sum())
