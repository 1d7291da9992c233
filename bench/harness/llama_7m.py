"""A Llama of 7 million random weights: so small that what an engine does around its products decides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from harness.gguf import smollm2
from harness.paths import CACHE

_LAYERS, _HIDDEN, _HEADS, _KV_HEADS, _FEED_FORWARD = 6, 256, 8, 4, 704
_VOCABULARY_TOKENS = 8192
_SEED, _SPREAD = 7, 0.05
_TOKENIZER = "tokenizer.ggml"

Floats = npt.NDArray[np.float32]


def llama_7m() -> Path:
    """Write a Llama of 7 million random weights in Q8_0, once; its vocabulary is the first part of SmolLM2's."""
    target = CACHE / "generation" / "llama-7m-q8_0.gguf"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    _write_shape(writer)
    _write_vocabulary(writer, gguf.GGUFReader(smollm2()))
    for name, values in _tensors():
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(target)
    return target


def _write_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(2048)
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_HIDDEN // _HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _write_vocabulary(writer: gguf.GGUFWriter, source: gguf.GGUFReader) -> None:
    """Keep the tokens up to a number; the later ones are made of them by later merges."""

    def field(key: str) -> Any:
        return source.fields[f"{_TOKENIZER}.{key}"].contents()

    tokens = field("tokens")[:_VOCABULARY_TOKENS]
    known = set(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(field("pre"))
    writer.add_token_list(tokens)
    writer.add_token_types(field("token_type")[:_VOCABULARY_TOKENS])
    writer.add_token_merges([pair for pair in field("merges") if pair.replace(" ", "", 1) in known])
    for key in ("bos_token_id", "eos_token_id"):
        writer.add_uint32(f"{_TOKENIZER}.{key}", field(key))
    writer.add_add_bos_token(False)


def _tensors() -> Iterator[tuple[str, Floats]]:
    random = np.random.default_rng(_SEED)
    kv_rows = _HIDDEN // _HEADS * _KV_HEADS
    matrices = {
        "attn_q": (_HIDDEN, _HIDDEN),
        "attn_k": (kv_rows, _HIDDEN),
        "attn_v": (kv_rows, _HIDDEN),
        "attn_output": (_HIDDEN, _HIDDEN),
        "ffn_gate": (_FEED_FORWARD, _HIDDEN),
        "ffn_up": (_FEED_FORWARD, _HIDDEN),
        "ffn_down": (_HIDDEN, _FEED_FORWARD),
    }
    norm = np.ones(_HIDDEN, np.float32)
    yield "token_embd.weight", _random_matrix(random, (_VOCABULARY_TOKENS, _HIDDEN))
    for layer in range(_LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", norm
        for name, shape in matrices.items():
            yield f"blk.{layer}.{name}.weight", _random_matrix(random, shape)
    yield "output_norm.weight", norm


def _random_matrix(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.standard_normal(shape, np.float32) * np.float32(_SPREAD)
