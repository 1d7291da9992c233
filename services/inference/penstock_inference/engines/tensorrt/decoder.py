"""The network of a decoder of the Llama family: RMSNorm, rotary positions, grouped queries, SwiGLU."""

from collections.abc import Callable

import numpy as np

from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.network import Network, Tensor
from penstock_inference.engines.tensorrt.number_format import NumberFormat
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.formats import Floats, ModelWeights
from penstock_inference.formats.llama_tensors import (
    EMBEDDING,
    FINAL_NORM,
    HEAD,
    layer_biases,
    layer_head_norms,
    layer_tensors,
)

_FLOAT32 = np.dtype(np.float32)
_INT32 = np.dtype(np.int32)


def add_decoder(
    network: Network, weights: ModelWeights, spec: EngineSpec, layer_done: Callable[[int], None]
) -> None:
    """Add the model to an empty network. Raises EngineBuildError for what the layers cannot express.

    Inputs: `ids` and `positions [batch, tokens]`; `first_rows [batch]`, the KV row of each sequence's first
    token; `kv_lengths [batch]`, how many rows it has after this step; `logit_rows`, the positions among batch *
    tokens whose logits are wanted; for each layer `past_key_<layer>` and `past_value_<layer>` `[batch, kv_heads,
    kv_rows, head_dim]`. Outputs: `logits [logit_rows, vocabulary]` in float32, and `present_…`, which is the
    memory of `past_…`.
    """
    if any(0 < window < spec.context_tokens_max for window in weights.config.attention_windows):
        raise EngineBuildError(
            "attention over a sliding window is not supported by TensorRT's attention layer"
        )
    decoder = _Decoder(network, weights, spec)
    hidden = decoder.embed()
    for layer in range(weights.config.layers):
        hidden = decoder.layer(layer, hidden)
        layer_done(layer + 1)
    decoder.logits(hidden)


class _Decoder:
    """Adds the parts of the model, in order.

    Norms, rotations and the scale of queries are computed in float32: rounded earlier, near-ties turn over.
    """

    def __init__(self, network: Network, weights: ModelWeights, spec: EngineSpec) -> None:
        self._network = network
        self._weights = weights
        self._config = weights.config
        self._numbers = NumberFormat(spec.kind)
        self._kv_shape = (-1, self._config.kv_heads, spec.kv_rows, self._config.head_dim)
        cos, sin = self._config.rotary.tables(spec.kv_rows)
        self._tables = network.constant(cos), network.constant(sin)
        self._table = self._constant(weights.tensor(EMBEDDING))

    def embed(self) -> Tensor:
        network = self._network
        ids = network.input("ids", _INT32, (-1, -1))
        self._positions = network.input("positions", np.dtype(np.int64), (-1, -1))
        self._first_rows = network.input("first_rows", _INT32, (-1,))
        self._kv_lengths = network.input("kv_lengths", _INT32, (-1,))
        return network.gather(self._table, ids)

    def layer(self, layer: int, hidden: Tensor) -> Tensor:
        names, network = layer_tensors(layer), self._network
        normed = self._norm(hidden, names["attention_norm"])
        hidden = network.add(hidden, self._linear(self._attention(layer, normed), layer, "output"))
        normed = self._norm(hidden, names["feed_forward_norm"])
        gate = network.silu(self._linear(normed, layer, "gate"))
        inner = network.multiply(gate, self._linear(normed, layer, "up"))
        return network.add(hidden, self._linear(inner, layer, "down"))

    def logits(self, hidden: Tensor) -> None:
        network, config = self._network, self._config
        rows = network.input("logit_rows", _INT32, (-1,))
        wanted = network.gather(network.reshape(hidden, (-1, config.hidden_size)), rows)
        table = self._table if config.tied_embeddings else self._constant(self._weights.tensor(HEAD))
        logits = network.product(self._norm(wanted, FINAL_NORM), table)
        network.output("logits", network.cast(logits, _FLOAT32))

    def _attention(self, layer: int, normed: Tensor) -> Tensor:
        network, config = self._network, self._config
        query = network.split_heads(self._linear(normed, layer, "query"), config.heads)
        key = network.split_heads(self._linear(normed, layer, "key"), config.kv_heads)
        value = network.split_heads(self._linear(normed, layer, "value"), config.kv_heads)
        if config.has_head_norms:
            norms = layer_head_norms(layer)
            query, key = self._norm(query, norms["query_norm"]), self._norm(key, norms["key_norm"])
        scale = network.constant(np.full((1, 1, 1, 1), config.head_dim**-0.5, np.float32))
        query = network.cast(network.multiply(self._rotate(query), scale), self._numbers.dtype)
        key = network.cast(self._rotate(key), self._numbers.dtype)
        present = self._update(f"key_{layer}", key), self._update(f"value_{layer}", value)
        return network.join_heads(network.attend(query, present, self._kv_lengths))

    def _rotate(self, heads: Tensor) -> Tensor:
        return self._network.rotate(self._network.cast(heads, _FLOAT32), self._tables, self._positions)

    def _update(self, name: str, rows: Tensor) -> Tensor:
        past = self._network.input(f"past_{name}", self._numbers.dtype, self._kv_shape)
        present = self._network.update_cache(past, rows, self._first_rows)
        self._network.output(f"present_{name}", present)
        return present

    def _norm(self, values: Tensor, name: str) -> Tensor:
        """Divide each row by its root mean square (arXiv 1910.07467)."""
        network, rank = self._network, len(values.shape)
        exact = network.cast(values, _FLOAT32)
        mean = network.mean_of_last_axis(network.multiply(exact, exact))
        epsilon = network.constant(np.full((1,) * rank, self._config.rms_epsilon, np.float32))
        normed = network.multiply(exact, network.reciprocal_root(network.add(mean, epsilon)))
        weight = self._weights.tensor(name)
        scale = self._constant(weight.reshape((1,) * (rank - 1) + weight.shape))
        return network.multiply(network.cast(normed, self._numbers.dtype), scale)

    def _linear(self, values: Tensor, layer: int, part: str) -> Tensor:
        matrix = self._weights.tensor(layer_tensors(layer)[part])
        result = self._numbers.linear(self._network, values, matrix)
        if part in self._config.biases:
            bias = self._constant(self._weights.tensor(layer_biases(layer)[part])[None, None])
            result = self._network.add(result, bias)
        return result

    def _constant(self, values: Floats) -> Tensor:
        return self._numbers.constant(self._network, values)
