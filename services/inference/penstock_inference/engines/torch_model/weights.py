"""A decoder's weights on the device, with the matrices that read the same input joined into one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from penstock_inference.engines.torch_library import Tensor, torch
from penstock_inference.engines.torch_model.linear import Linear, linear_bytes, make_linear
from penstock_inference.engines.torch_model.target import Target
from penstock_inference.formats import Floats, ModelConfig, ModelWeights
from penstock_inference.formats.llama_tensors import (
    EMBEDDING,
    FINAL_NORM,
    HEAD,
    JOINED,
    LINEARS,
    layer_biases,
    layer_head_norms,
    layer_tensors,
    tensor_shapes,
)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer."""

    attention_norm: Tensor
    feed_forward_norm: Tensor
    head_norms: tuple[Tensor, Tensor] | None  # of each head's queries, and of its keys
    linears: Mapping[str, Linear]  # by the names in JOINED


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """All layers, and the tables before and after them."""

    embedding: Tensor  # [vocabulary, hidden]
    layers: tuple[LayerWeights, ...]
    final_norm: Tensor
    head: Tensor  # [vocabulary, hidden]: the embedding's own memory where it is tied


def decoder_bytes(config: ModelConfig, target: Target) -> int:
    """Say how much memory all tensors take."""
    shapes = tensor_shapes(config)
    matrices = [shapes.pop(layer_tensors(layer)[part]) for layer in range(config.layers) for part in LINEARS]
    others = sum(map(math.prod, shapes.values())) * target.dtype.itemsize
    return others + sum(linear_bytes(outputs, inputs, target) for outputs, inputs in matrices)


def read_decoder(weights: ModelWeights, target: Target) -> DecoderWeights:
    """Read all tensors, one after another, onto the device."""
    reader = _Reader(weights, target)
    embedding = reader.tensor(EMBEDDING)
    return DecoderWeights(
        embedding=embedding,
        layers=tuple(reader.layer(layer) for layer in range(weights.config.layers)),
        final_norm=reader.tensor(FINAL_NORM),
        head=embedding if weights.config.tied_embeddings else reader.tensor(HEAD),
    )


class _Reader:
    def __init__(self, weights: ModelWeights, target: Target) -> None:
        self._weights = weights
        self._target = target

    def tensor(self, name: str) -> Tensor:
        return self._to_device(self._weights.tensor(name)).to(self._target.dtype)

    def layer(self, layer: int) -> LayerWeights:
        names, norms = layer_tensors(layer), layer_head_norms(layer)
        has_norms = self._weights.config.has_head_norms
        return LayerWeights(
            attention_norm=self.tensor(names["attention_norm"]),
            feed_forward_norm=self.tensor(names["feed_forward_norm"]),
            head_norms=(self.tensor(norms["query_norm"]), self.tensor(norms["key_norm"]))
            if has_norms
            else None,
            linears={joined: self._linear(layer, parts) for joined, parts in JOINED.items()},
        )

    def _linear(self, layer: int, parts: tuple[str, ...]) -> Linear:
        names, biases = layer_tensors(layer), layer_biases(layer)
        weight = np.concatenate([self._weights.tensor(names[part]) for part in parts])
        bias = None
        if set(parts) & set(self._weights.config.biases):
            rows = [self._bias(part, biases[part], names[part]) for part in parts]
            bias = self._to_device(np.concatenate(rows))
        return make_linear(self._to_device(weight), bias, self._target)

    def _bias(self, part: str, name: str, weight: str) -> Floats:
        if part in self._weights.config.biases:
            return self._weights.tensor(name)
        return np.zeros(len(self._weights.tensor(weight)), np.float32)

    def _to_device(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.require(values, requirements=("C", "W"))).to(self._target.device)
