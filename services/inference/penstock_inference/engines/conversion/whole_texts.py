"""Run a decoder's graph over whole texts, without an engine: each as a first prompt, into KV memory of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penstock_inference.engines.kv_blocks import KvBlocks
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
    memory = KvBlocks(config, session.dtype("keys"), slots=1, rows=rows)
    memory.write(0, past_rows=0, rows=rows)
    text = {
        "ids": np.array(ids)[:, None],
        "slots": np.zeros(rows, np.int32),
        "positions": np.arange(rows, dtype=np.int32),
        "logit_rows": np.arange(rows),
        "block_tables": memory.tables.tables,
        "keys": memory.keys,
        "values": memory.values,
        "cos": cos,
        "sin": sin,
    }
    return session.run_all(outputs, text)
