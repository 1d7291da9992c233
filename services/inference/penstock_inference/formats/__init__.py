"""Read models from the files people have: one view of configuration and tensors, whatever the container."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class UnsupportedModelError(ValueError):
    """Say which property of a model we cannot run, and in which file it was found."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a decoder in the Llama family, and what its makers say about using it."""

    architecture: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward_size: int
    vocabulary_tokens: int
    rope_base: float
    rms_epsilon: float
    context_tokens: int  # what the model was trained for
    tied_embeddings: bool
    eos_ids: tuple[int, ...]  # any of these ends an answer
    chat_template: str | None  # Jinja source
    special_tokens: Mapping[str, str]  # names a template may use ("bos_token") -> text

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise UnsupportedModelError(f"{self.heads} query heads cannot share {self.kv_heads} KV heads")
        if self.head_dim % 8:
            raise UnsupportedModelError(f"head dimension {self.head_dim} is not a multiple of 8")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "eos_ids": tuple(fields["eos_ids"])})

    def to_json(self) -> str:
        """Write every field."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class SentenceEncoderConfig:
    """The shape of a BERT encoder."""

    layers: int
    hidden_size: int
    heads: int
    norm_epsilon: float
    input_tokens_max: int  # what a text is cut to, [CLS] and [SEP] included

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write every field."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class Q8Blocks:
    """A matrix in blocks of 32 along its rows: weight = code * scale (GGUF's Q8_0)."""

    codes: npt.NDArray[np.int8]  # [rows, columns]
    scales: Floats  # [rows, columns / 32]


class ModelWeights(Protocol):
    """Tensors by Hugging Face's names ("model.layers.0.self_attn.q_proj.weight"), read when asked for.

    Query and key rows are in Hugging Face's order: the two halves of a rotary pair lie head_dim / 2 apart.
    """

    @property
    def config(self) -> ModelConfig:
        """Say the model's shape."""

    def tensor(self, name: str) -> Floats:
        """Read a tensor, dequantised. Raises UnsupportedModelError if it is missing or its type is unknown."""

    def q8_blocks(self, name: str) -> Q8Blocks | None:
        """Read a matrix's 8-bit codes where the file holds such, so that they need not be rounded twice."""

    def tokenizer_json(self) -> str:
        """Give the tokenizer in Hugging Face's tokenizer.json format."""


def layer_tensors(layer: int) -> dict[str, str]:
    """Name the tensors of one Llama layer, by their part in it."""
    prefix = f"model.layers.{layer}"
    return {
        "attention_norm": f"{prefix}.input_layernorm.weight",
        "query": f"{prefix}.self_attn.q_proj.weight",
        "key": f"{prefix}.self_attn.k_proj.weight",
        "value": f"{prefix}.self_attn.v_proj.weight",
        "output": f"{prefix}.self_attn.o_proj.weight",
        "feed_forward_norm": f"{prefix}.post_attention_layernorm.weight",
        "gate": f"{prefix}.mlp.gate_proj.weight",
        "up": f"{prefix}.mlp.up_proj.weight",
        "down": f"{prefix}.mlp.down_proj.weight",
    }


def model_tensors(config: ModelConfig) -> set[str]:
    """Name every tensor that a model of this shape has; one more or less is another architecture."""
    names = {"model.embed_tokens.weight", "model.norm.weight"}
    if not config.tied_embeddings:
        names.add("lm_head.weight")
    for layer in range(config.layers):
        names.update(layer_tensors(layer).values())
    return names


def require_tensors(source: object, config: ModelConfig, found: set[str]) -> None:
    """Refuse a file whose tensors are not exactly those of its configuration."""
    expected = model_tensors(config)
    for words, names in (("lacks", expected - found), ("has unknown", found - expected)):
        if names:
            raise UnsupportedModelError(f"{source} {words} tensors: {', '.join(sorted(names)[:4])}")
