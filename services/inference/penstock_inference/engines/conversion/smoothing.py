"""Smooth activations before rounding: SmoothQuant (arXiv 2211.10438), computed away into the weights.

A few channels of a layer's inputs are ten times as large as the others, and a block that holds one is rounded
coarsely as a whole. Each channel is divided by a factor, in the norm or the matrix that it comes from, and the columns
of the matrix that reads it are multiplied with it. In exact arithmetic the model stays the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock_inference.formats import Floats, ModelWeights
from penstock_inference.formats.llama_tensors import layer_biases, layer_tensors

FACTORS_FILE = "factors.npz"
_SMALLEST = np.float32(1e-5)  # a channel that nothing flows through keeps a factor


class InputMaxima(NamedTuple):
    """The largest magnitude that each channel of a layer's four inputs was seen to have."""

    attention: Floats  # of the normed hidden state that queries, keys and values are made of
    output: Floats  # of what the heads give
    feed_forward: Floats  # of the normed hidden state that gate and up are made of
    down: Floats  # of the gated values


class SmoothedWeights:
    """Implement ModelWeights: another model's weights, which compute the same from smoother activations."""

    def __init__(self, weights: ModelWeights, maxima: Sequence[InputMaxima]) -> None:
        """Take the maxima of each layer."""
        self.config = weights.config
        self._weights = weights
        self._multipliers: dict[str, Floats] = {}  # of a matrix's columns
        self._divisors: dict[str, Floats] = {}  # of a matrix's rows, a norm or a bias
        for layer, seen in enumerate(maxima):
            self._smooth_norm(layer, "attention_norm", ("query", "key", "value"), seen.attention)
            self._smooth_norm(layer, "feed_forward_norm", ("gate", "up"), seen.feed_forward)
            self._smooth_pair(layer, "up", "down", seen.down, readers=1)
            readers = self.config.heads // self.config.kv_heads
            self._smooth_pair(layer, "value", "output", seen.output, readers)

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32, smoothed."""
        values = self._weights.tensor(name)
        if name in self._multipliers:
            values = values * self._multipliers[name]
        if name in self._divisors:
            divisors = self._divisors[name]
            values = values / (divisors[:, None] if values.ndim > 1 else divisors)
        return values

    def save_factors(self, path: Path) -> None:
        """Write what was done to matrices, for those who add to them."""
        factors = {f"columns {name}": multipliers for name, multipliers in self._multipliers.items()}
        factors |= {f"rows {name}": np.reciprocal(divisors) for name, divisors in self._divisors.items()}
        np.savez(path, allow_pickle=False, **factors)

    def tokenizer_json(self) -> str:
        """Give the tokenizer in Hugging Face's tokenizer.json format."""
        return self._weights.tokenizer_json()

    def _smooth_norm(self, layer: int, norm: str, readers: Sequence[str], seen: Floats) -> None:
        names = layer_tensors(layer)
        columns = np.max([self._column_maxima(names[reader]) for reader in readers], axis=0)
        factors = _factors(seen, columns)
        self._divisors[names[norm]] = factors
        self._multipliers |= {names[reader]: factors for reader in readers}

    def _smooth_pair(self, layer: int, writer: str, reader: str, seen: Floats, readers: int) -> None:
        """Smooth what one matrix writes and another reads, each value at several places in turn."""
        names = layer_tensors(layer)
        dim = self.config.head_dim if readers > 1 else 1

        def shared(maxima: Floats) -> Floats:
            return np.asarray(maxima.reshape(-1, readers, dim).max(axis=1).ravel())

        factors = _factors(shared(seen), shared(self._column_maxima(names[reader])))
        self._divisors |= {names[writer]: factors, layer_biases(layer)[writer]: factors}
        self._multipliers[names[reader]] = np.repeat(factors.reshape(-1, 1, dim), readers, axis=1).ravel()

    def _column_maxima(self, name: str) -> Floats:
        return np.asarray(np.abs(self._weights.tensor(name)).max(axis=0))


def _factors(inputs: Floats, weights: Floats) -> Floats:
    """Meet half-way between the spread of the inputs and that of the weights; their geometric mean is 1."""
    factors = np.sqrt(np.maximum(inputs, _SMALLEST) / np.maximum(weights, _SMALLEST))
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)
