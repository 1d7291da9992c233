"""Run a decoder's graph over whole texts, without an engine: each as a first prompt, into KV memory of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penstock_inference.engines.onnx_session import Array, Session
from penstock_inference.formats import ModelConfig
from penstock_inference.tokenizer import Tokenizer

_TEXT_TOKENS_MAX = 256
_TEXTS_MAX = 64


def read_texts(path: Path, config: ModelConfig, tokenizer: Tokenizer) -> list[list[int]]:
    """Give the token ids of a file's paragraphs: of each the beginning, and of their number the first.

    Raises ValueError if the model can read none of them.
    """
    paragraphs = [part for part in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")) if part.strip()]
    length = min(_TEXT_TOKENS_MAX, config.context_tokens)
    texts = [tokenizer.encode(part, parse_special=False)[:length] for part in paragraphs[:_TEXTS_MAX]]
    if not any(texts):
        raise ValueError(f"{path} holds no text that this model can read")
    return [ids for ids in texts if ids]


def run_text(
    session: Session, config: ModelConfig, ids: Sequence[int], outputs: Sequence[str]
) -> list[Array]:
    """Compute outputs of the graph; `logits` are those after each token."""
    rows = len(ids)
    cos, sin = config.rotary.tables(rows)
    memory = np.zeros((1, config.kv_heads, rows, config.head_dim), np.float32)
    past = {f"past_{part}_{layer}": memory for part in ("key", "value") for layer in range(config.layers)}
    text = {
        "ids": np.array([ids]),
        "last_rows": np.array([rows - 1], np.int32),
        "kv_rows": np.array(rows, np.int32),
        "logit_rows": np.arange(rows),
        "cos": cos,
        "sin": sin,
    }
    return session.run_all(outputs, past | text)
