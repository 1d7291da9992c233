"""Read models from the files people have: one view of configuration and tensors, whatever the container."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from penstock_inference.formats.rotary import Rotary

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
    rotary: Rotary
    rms_epsilon: float
    context_tokens: int  # what the model was trained for
    tied_embeddings: bool
    eos_ids: tuple[int, ...]  # any of these ends an answer
    chat_template: str | None  # Jinja source
    special_tokens: Mapping[str, str]  # texts by the names that a template may use, "bos_token"
    biases: tuple[str, ...] = ()  # parts of a layer that add one: "query", "down"
    has_head_norms: bool = False  # queries and keys are normalised head by head before they are rotated
    attention_windows: tuple[int, ...] = ()  # how many tokens each layer looks back, itself included; 0: all

    def __post_init__(self) -> None:
        for field in _SIZES:
            if not 0 < getattr(self, field) <= _SIZE_MAX:
                raise UnsupportedModelError(f"{field} cannot be {getattr(self, field)}")
        if not 0 <= self.rms_epsilon < 1:
            raise UnsupportedModelError(f"the epsilon of norms cannot be {self.rms_epsilon}")
        if self.heads % self.kv_heads:
            raise UnsupportedModelError(f"{self.heads} query heads cannot share {self.kv_heads} KV heads")
        if not all(0 <= window <= _SIZE_MAX for window in self.attention_windows):
            raise UnsupportedModelError(f"attention windows cannot be {set(self.attention_windows)}")
        if not all(0 <= token < self.vocabulary_tokens for token in self.eos_ids):
            raise UnsupportedModelError(f"{self.vocabulary_tokens} tokens have no end tokens {self.eos_ids}")
        if self.head_dim % 16:
            raise UnsupportedModelError(f"head dimension {self.head_dim} is not a multiple of 16")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for name in ("eos_ids", "biases", "attention_windows"):
            fields[name] = tuple(fields[name])
        rotary = fields["rotary"]
        fields["rotary"] = Rotary(tuple(rotary["frequencies"]), rotary["magnitude"])
        return cls(**fields)

    def to_json(self) -> str:
        """Write every field."""
        return json.dumps(dataclasses.asdict(self))


_SIZES = (
    "layers",
    "hidden_size",
    "heads",
    "kv_heads",
    "head_dim",
    "feed_forward_size",
    "vocabulary_tokens",
    "context_tokens",
)
_SIZE_MAX = 1 << 24  # beyond any model; what is larger is a damaged file


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


class ModelWeights(Protocol):
    """A decoder's files. Opening one raises UnsupportedModelError if it is not one that we can run."""

    @property
    def config(self) -> ModelConfig:
        """Say the model's shape."""

    def tensor(self, name: str) -> Floats:
        """Read a tensor by its Hugging Face name, as float32, whatever type it is stored in.

        Query and key rows are in Hugging Face's order too: the rows of a rotary pair lie head_dim / 2 apart.
        """

    def tokenizer_json(self) -> str:
        """Give the tokenizer in Hugging Face's tokenizer.json format."""
