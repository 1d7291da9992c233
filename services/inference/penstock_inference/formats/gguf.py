"""Read GGUF files, llama.cpp's container."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from penstock_inference.formats import Floats, ModelConfig, UnsupportedModelError
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.formats.llama_tensors import HEAD, require_tensors

_HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SPECIAL_TOKENS = (
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("pad_token", "padding"),
)


class GgufWeights:
    """Implement ModelWeights on a memory-mapped GGUF file of the Llama architecture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError) as error:
            raise UnsupportedModelError(f"{path} is not a readable GGUF file: {error}") from error
        self._tensors = {_hf_name(tensor.name): tensor for tensor in self._reader.tensors}
        require_tensors(path, self.config, set(self._tensors))

    @cached_property
    def config(self) -> ModelConfig:
        """Say the model's shape."""
        architecture = self._field("general.architecture")
        if architecture != "llama":
            raise UnsupportedModelError(f"{self._path}: architecture {architecture!r} is not supported")
        if self._field("llama.rope.scaling.type", "none") != "none":
            raise UnsupportedModelError(f"{self._path}: scaled rotary positions are not supported")
        hidden_size = self._field("llama.embedding_length")
        heads = self._field("llama.attention.head_count")
        tokens = self._field("tokenizer.ggml.tokens")
        return ModelConfig(
            architecture=architecture,
            layers=self._field("llama.block_count"),
            hidden_size=hidden_size,
            heads=heads,
            kv_heads=self._field("llama.attention.head_count_kv", heads),
            head_dim=self._field("llama.attention.key_length", hidden_size // heads),
            feed_forward_size=self._field("llama.feed_forward_length"),
            vocabulary_tokens=len(tokens),
            rope_base=self._field("llama.rope.freq_base", 10_000.0),
            rms_epsilon=self._field("llama.attention.layer_norm_rms_epsilon"),
            context_tokens=self._field("llama.context_length"),
            tied_embeddings=HEAD not in self._tensors,
            eos_ids=self._eos_ids(),
            chat_template=self._field("tokenizer.chat_template", None),
            special_tokens=self._special_tokens(tokens),
        )

    def tensor(self, name: str) -> Floats:
        """Read a tensor, dequantised."""
        tensor = self._tensor(name)
        try:
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            kind = tensor.tensor_type.name
            raise UnsupportedModelError(f"{self._path}: {tensor.name} has type {kind}") from error
        return self._hf_row_order(name, np.asarray(values, dtype=np.float32))

    def tokenizer_json(self) -> str:
        """Give the tokenizer in Hugging Face's tokenizer.json format."""
        model = self._field("tokenizer.ggml.model")
        if model != "gpt2":
            raise UnsupportedModelError(f"{self._path}: the tokenizer {model!r} is not supported")
        if self._field("tokenizer.ggml.add_bos_token", False):
            raise UnsupportedModelError(f"{self._path}: a BOS token before each text is not supported")
        kinds = self._field("tokenizer.ggml.token_type")
        return byte_level_tokenizer_json(
            ByteLevelVocabulary(
                tokens=self._field("tokenizer.ggml.tokens"),
                merges=self._field("tokenizer.ggml.merges"),
                control_ids=_ids_of_kind(kinds, gguf.TokenType.CONTROL),
                user_defined_ids=_ids_of_kind(kinds, gguf.TokenType.USER_DEFINED),
                pre_tokenizer=self._field("tokenizer.ggml.pre"),
            )
        )

    def _field(self, key: str, *default: Any) -> Any:
        field = self._reader.get_field(key)
        if field is not None:
            return field.contents()
        if default:
            return default[0]
        raise UnsupportedModelError(f"{self._path} lacks the field {key}")

    def _tensor(self, name: str) -> gguf.ReaderTensor:
        if name not in self._tensors:
            raise UnsupportedModelError(f"{self._path} lacks the tensor {name}")
        return self._tensors[name]

    def _eos_ids(self) -> tuple[int, ...]:
        ids = {self._field(f"tokenizer.ggml.{end}_token_id", None) for end in ("eos", "eot", "eom")}
        return tuple(sorted(ids - {None}))

    def _special_tokens(self, tokens: Sequence[str]) -> dict[str, str]:
        ids = ((name, self._field(f"tokenizer.ggml.{key}_token_id", None)) for name, key in _SPECIAL_TOKENS)
        return {name: tokens[token] for name, token in ids if token is not None}

    def _hf_row_order(self, name: str, rows: Floats) -> Floats:
        """Undo the converter's row order: it put the two rows of each rotary pair side by side."""
        if name.endswith("q_proj.weight"):
            heads = self.config.heads
        elif name.endswith("k_proj.weight"):
            heads = self.config.kv_heads
        else:
            return rows
        pairs = rows.reshape(heads, self.config.head_dim // 2, 2, *rows.shape[1:])
        return pairs.swapaxes(1, 2).reshape(rows.shape)


def _hf_name(name: str) -> str:
    """Translate "blk.3.attn_q.weight"; a name that we do not know stays, and is refused by its reader."""
    *block, part, suffix = name.split(".")
    translated = f"{_HF_NAMES.get(part, part)}.{suffix}"
    return f"model.layers.{block[1]}.{translated}" if block[:1] == ["blk"] else translated


def _ids_of_kind(kinds: Sequence[int], wanted: gguf.TokenType) -> list[int]:
    return [token for token, kind in enumerate(kinds) if kind == wanted]
