"""Read models from GGUF files."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from penstock_inference.formats import Floats, ModelConfig, UnsupportedModelError
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.formats.fields import Fields
from penstock_inference.formats.gguf_file import GgufFile
from penstock_inference.formats.llama_tensors import HEAD, find_biases, layer_head_norms, require_tensors
from penstock_inference.formats.rotary import Rotary
from penstock_inference.formats.rotary_scaling import read_rotary
from penstock_inference.formats.sentencepiece_bpe import SentencePieceVocabulary, sentencepiece_tokenizer_json

_ARCHITECTURES = ("llama", "qwen2", "qwen3")  # a Mistral is written as a Llama
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # types of tokens
_ROTARY_FACTORS = "rope_freqs.weight"  # how much slower each pair turns: Llama 3.1 and later
_HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)")
_SPECIAL_TOKENS = (
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("pad_token", "padding"),
)


class GgufWeights:
    """Implement ModelWeights on a GGUF file of a Llama, Mistral, Qwen2 or Qwen3."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = GgufFile(path)
        self._fields = self._file.fields
        self._architecture = self._fields.text("general.architecture")
        if self._architecture not in _ARCHITECTURES:
            raise UnsupportedModelError(f"{path}: architecture {self._architecture!r} is not supported")
        names = [name for name in self._file.shapes if name != _ROTARY_FACTORS]
        self._names = {_hf_name(name): name for name in names}
        self._shapes = {name: self._file.shapes[own] for name, own in self._names.items()}
        require_tensors(path, self.config, self._shapes)

    @cached_property
    def config(self) -> ModelConfig:
        """Say the model's shape."""
        fields, prefix = self._fields, self._architecture
        hidden_size = fields.integer(f"{prefix}.embedding_length")
        heads = max(fields.integer(f"{prefix}.attention.head_count"), 1)
        head_dim = fields.integer(f"{prefix}.attention.key_length", hidden_size // heads)
        tokens = fields.items_of("tokenizer.ggml.tokens", str)
        self._refuse_unsupported(head_dim)
        return ModelConfig(
            architecture=prefix,
            layers=fields.integer(f"{prefix}.block_count"),
            hidden_size=hidden_size,
            heads=heads,
            kv_heads=fields.integer(f"{prefix}.attention.head_count_kv", heads),
            head_dim=head_dim,
            feed_forward_size=fields.integer(f"{prefix}.feed_forward_length"),
            vocabulary_tokens=len(tokens),
            rotary=self._rotary(head_dim),
            rms_epsilon=fields.number(f"{prefix}.attention.layer_norm_rms_epsilon"),
            context_tokens=fields.integer(f"{prefix}.context_length"),
            tied_embeddings=HEAD not in self._shapes,
            eos_ids=self._eos_ids(),
            chat_template=fields.text("tokenizer.chat_template", "") or None,
            special_tokens=self._special_tokens(tokens),
            biases=find_biases(self._shapes),
            has_head_norms=layer_head_norms(0)["query_norm"] in self._shapes,
        )

    def tensor(self, name: str) -> Floats:
        """Read a tensor, dequantised."""
        if name not in self._names:
            raise UnsupportedModelError(f"{self._path} lacks the tensor {name}")
        return self._hf_row_order(name, self._file.tensor(self._names[name]))

    def tokenizer_json(self) -> str:
        """Give the tokenizer in Hugging Face's tokenizer.json format."""
        fields = self._fields
        model = fields.text("tokenizer.ggml.model")
        if model not in ("gpt2", "llama"):
            raise UnsupportedModelError(f"{self._path}: the tokenizer {model!r} is not supported")
        template_writes_bos = "bos_token" in (self.config.chat_template or "")
        if fields.get("tokenizer.ggml.add_bos_token", model == "llama") and not template_writes_bos:
            raise UnsupportedModelError(f"{self._path}: a BOS token before each text is not supported")
        if model == "llama":
            return sentencepiece_tokenizer_json(self._sentencepiece_vocabulary())
        return byte_level_tokenizer_json(self._byte_level_vocabulary())

    def _byte_level_vocabulary(self) -> ByteLevelVocabulary:
        fields = self._fields
        kinds = fields.items_of("tokenizer.ggml.token_type", int)
        return ByteLevelVocabulary(
            tokens=fields.items_of("tokenizer.ggml.tokens", str),
            merges=fields.items_of("tokenizer.ggml.merges", str),
            control_ids=_ids_of_kind(kinds, _CONTROL),
            user_defined_ids=_ids_of_kind(kinds, _USER_DEFINED),
            pre_tokenizer=fields.text("tokenizer.ggml.pre"),
        )

    def _sentencepiece_vocabulary(self) -> SentencePieceVocabulary:
        fields = self._fields
        tokens = fields.items_of("tokenizer.ggml.tokens", str)
        kinds = fields.items_of("tokenizer.ggml.token_type", int)
        if len(kinds) != len(tokens):
            raise UnsupportedModelError(f"{self._path}: {len(kinds)} tokens have a type, of {len(tokens)}")
        return SentencePieceVocabulary(
            tokens=tokens,
            scores=fields.items_of("tokenizer.ggml.scores", float),
            normal_ids=_ids_of_kind(kinds, _NORMAL),
            special_ids=_ids_of_kind(kinds, _UNKNOWN, _CONTROL),
            user_defined_ids=_ids_of_kind(kinds, _USER_DEFINED),
            has_space_prefix=bool(fields.get("tokenizer.ggml.add_space_prefix", True)),
        )

    def _refuse_unsupported(self, head_dim: int) -> None:
        fields, prefix = self._fields, self._architecture
        same = {
            "heads whose values are of another size than their keys": "attention.value_length",
            "rotating a part of each head": "rope.dimension_count",
        }
        for reason, key in same.items():
            if fields.integer(f"{prefix}.{key}", head_dim) != head_dim:
                raise UnsupportedModelError(f"{self._path}: {reason} is not supported")
        for key in ("attention.sliding_window", "expert_count"):
            if fields.integer(f"{prefix}.{key}", 0):
                raise UnsupportedModelError(f"{self._path}: {prefix}.{key} is not supported")

    def _rotary(self, head_dim: int) -> Rotary:
        fields, prefix = self._fields, f"{self._architecture}.rope"
        scaling = {
            "rope_type": fields.get(f"{prefix}.scaling.type"),
            "factor": fields.get(f"{prefix}.scaling.factor"),
            "original_max_position_embeddings": fields.get(f"{prefix}.scaling.original_context_length"),
        }
        if scaling["rope_type"] == "none":
            scaling = {}
        rotary = read_rotary(
            Fields(self._path, scaling), head_dim, fields.number(f"{prefix}.freq_base", 10_000.0)
        )
        if _ROTARY_FACTORS not in self._file.shapes:
            return rotary
        factors = self._file.tensor(_ROTARY_FACTORS)
        if factors.shape != (head_dim // 2,) or not (factors >= 1).all():
            raise UnsupportedModelError(f"{self._path}: {_ROTARY_FACTORS} is not of this model")
        return Rotary(tuple((rotary.frequencies / factors.astype(np.float64)).tolist()), rotary.magnitude)

    def _token(self, role: str) -> int | None:
        key = f"tokenizer.ggml.{role}_token_id"
        return self._fields.integer(key) if key in self._fields else None

    def _eos_ids(self) -> tuple[int, ...]:
        return tuple(
            sorted({token for end in ("eos", "eot", "eom") if (token := self._token(end)) is not None})
        )

    def _special_tokens(self, tokens: Sequence[str]) -> dict[str, str]:
        named = ((name, self._token(role)) for name, role in _SPECIAL_TOKENS)
        return {name: tokens[token] for name, token in named if token is not None and token < len(tokens)}

    def _hf_row_order(self, name: str, rows: Floats) -> Floats:
        """Undo the converter's row order of a Llama: it put the two rows of each rotary pair side by side."""
        if self._architecture != "llama":
            return rows
        if "q_proj" in name:
            heads = self.config.heads
        elif "k_proj" in name:
            heads = self.config.kv_heads
        else:
            return rows
        pairs = rows.reshape(heads, self.config.head_dim // 2, 2, *rows.shape[1:])
        return pairs.swapaxes(1, 2).reshape(rows.shape)


def _hf_name(name: str) -> str:
    """Translate "blk.3.attn_q.weight"; a name that we do not know stays, and is refused by its reader."""
    found = _NAME.fullmatch(name)
    if found is None:
        return name
    layer, part, suffix = found.groups()
    translated = f"{_HF_NAMES.get(part, part)}.{suffix}"
    return f"model.layers.{layer}.{translated}" if layer else translated


def _ids_of_kind(kinds: Sequence[int], *wanted: int) -> list[int]:
    return [token for token, kind in enumerate(kinds) if kind in wanted]
