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
    special_tokens: Mapping[str, str]  # texts by the names that a template may use, "bos_token"

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
