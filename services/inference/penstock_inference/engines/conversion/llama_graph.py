"""Build the step graph of a decoder of the Llama family: RMSNorm, rotary positions, grouped queries, SwiGLU.

What its members add (biases, norms of heads, attention to a window) is in their configuration.
"""

from pathlib import Path

import numpy as np

from penstock_inference.engines.conversion.kernels import Kernels
from penstock_inference.engines.conversion.lora_nodes import Product, add_adapters
from penstock_inference.engines.conversion.onnx_graph import ADAPTED_GRAPH_FILE, Dims, GraphBuilder
from penstock_inference.engines.conversion.progress import CONVERTING, Progress, say_nothing
from penstock_inference.engines.kv_blocks import BLOCK_ROWS
from penstock_inference.formats import ModelWeights
from penstock_inference.formats.llama_tensors import (
    EMBEDDING,
    FINAL_NORM,
    HEAD,
    JOINED,
    layer_biases,
    layer_head_norms,
    layer_tensors,
)


def build_llama_graph(
    weights: ModelWeights, kernels: Kernels, directory: Path, progress: Progress = say_nothing
) -> None:
    """Write the graph and its weights into a directory.

    Its rows are tokens of any sequences, those of one side by side and in their order. Inputs: `ids [rows, 1]`;
    `slots [rows]` and `positions [rows]`, whose each is and where in its sequence; `logit_rows`, the rows whose logits
    are wanted; `block_tables [slots, blocks]`, the blocks of each sequence; `cos` and `sin [positions, head_dim / 2]`;
    `keys [layers, blocks, kv_heads, head_dim, 16]` and `values [layers, blocks, kv_heads, 16, head_dim]`, which are
    written in place (native/operator.cpp). Output: `logits [logit_rows, vocabulary]`.
    Beside it lies the graph for steps that name adapters (lora_nodes.py).
    """
    with GraphBuilder(directory) as graph:
        decoder = _Decoder(graph, weights, kernels)
        hidden, update = decoder.embed(), ""
        for layer in range(weights.config.layers):
            progress(CONVERTING, layer, weights.config.layers)
            hidden, update = decoder.layer(layer, hidden, update)
        decoder.logits(hidden, update)
        graph.save()
        add_adapters(graph, decoder.products)
        graph.save(ADAPTED_GRAPH_FILE)
    progress(CONVERTING, weights.config.layers, weights.config.layers)


class _Decoder:
    """Adds the parts of the model to the graph, in order.

    Between parts go two values, the residual stream and the update that is still to be added to it: one
    operator adds and normalises.
    """

    def __init__(self, graph: GraphBuilder, weights: ModelWeights, kernels: Kernels) -> None:
        self._graph = graph
        self._weights = weights
        self._config = weights.config
        self._kernels = kernels
        self.products: list[Product] = []

    def embed(self) -> str:
        graph = self._graph
        ids = graph.input("ids", np.int64, ["rows", 1])
        for name in ("slots", "positions"):
            graph.input(name, np.int32, ["rows"])
        graph.input("block_tables", np.int32, ["slots", "slot_blocks"])
        for table in ("cos", "sin"):
            graph.input(table, np.float32, ["positions", self._config.head_dim // 2])
        blocks: Dims = [self._config.layers, "blocks", self._config.kv_heads]
        graph.input("keys", self._kernels.stored, [*blocks, self._config.head_dim, BLOCK_ROWS])
        graph.input("values", self._kernels.stored, [*blocks, BLOCK_ROWS, self._config.head_dim])
        return self._kernels.embedding(graph, ids, self._weights.tensor(EMBEDDING))

    def layer(self, layer: int, hidden: str, update: str) -> tuple[str, str]:
        names = layer_tensors(layer)
        normed, hidden = self._add_and_norm(hidden, update, names["attention_norm"])
        attended = self._attention(layer, self._linear(layer, normed, "attention"))
        update = self._linear(layer, attended, "output")
        normed, hidden = self._add_and_norm(hidden, update, names["feed_forward_norm"])
        return hidden, self._feed_forward(layer, normed)

    def logits(self, hidden: str, update: str) -> None:
        graph, config = self._graph, self._config
        graph.input("logit_rows", np.int64, ["logit_rows"])
        positions = graph.add("Add", hidden, update)
        flat = graph.add("Reshape", positions, graph.constant(np.array([-1, config.hidden_size])))
        wanted = graph.add("Gather", flat, "logit_rows")
        normed = self._norm(wanted, FINAL_NORM)
        table = self._weights.tensor(EMBEDDING if config.tied_embeddings else HEAD)
        logits = self._kernels.head(graph, normed, table)
        graph.output("logits", logits, np.float32, ["logit_rows", config.vocabulary_tokens])

    def _norm(self, hidden: str, weight: str) -> str:
        scale = self._graph.constant(self._weights.tensor(weight))
        epsilon = self._config.rms_epsilon
        return self._graph.add("SimplifiedLayerNormalization", hidden, scale, axis=-1, epsilon=epsilon)

    def _add_and_norm(self, hidden: str, update: str, weight: str) -> tuple[str, str]:
        """Add the update if there is one; give the sum's norm, and the sum."""
        if not update:
            return self._norm(hidden, weight), hidden
        normed, _, _, total = self._graph.add_multiple(
            "com.microsoft::SkipSimplifiedLayerNormalization",
            hidden, update, self._graph.constant(self._weights.tensor(weight)),
            results=["normed", "", "", "sum"],
            epsilon=self._config.rms_epsilon,
        )  # fmt: skip
        return normed, total

    def _attention(self, layer: int, query_key_value: str) -> str:
        graph, config = self._graph, self._config
        if config.has_head_norms:
            query_key_value = self._norm_heads(layer, query_key_value)
        return graph.add(
            "penstock::PagedAttention",
            query_key_value, "keys", "values", "block_tables", "slots", "positions", "cos", "sin",
            layer=layer,
            num_heads=config.heads,
            kv_num_heads=config.kv_heads,
            scale=config.head_dim**-0.5,
            window=(config.attention_windows[layer] if config.attention_windows else 0) or 0,
        )  # fmt: skip

    def _norm_heads(self, layer: int, query_key_value: str) -> str:
        """Normalise each head of queries and keys by itself."""
        graph, config = self._graph, self._config
        widths = np.array([config.heads, config.kv_heads, config.kv_heads]) * config.head_dim
        parts = graph.add_multiple(
            "Split", query_key_value, graph.constant(widths), results=["query", "key", "value"], axis=-1
        )
        names = layer_head_norms(layer)
        for place, norm in enumerate(("query_norm", "key_norm")):
            by_head = graph.constant(np.array([0, 0, -1, config.head_dim]))
            joined = graph.constant(np.array([0, 0, widths[place]]))
            heads = graph.add("Reshape", parts[place], by_head)
            parts[place] = graph.add("Reshape", self._norm(heads, names[norm]), joined)
        return graph.add("Concat", *parts, axis=-1)

    def _feed_forward(self, layer: int, normed: str) -> str:
        graph = self._graph
        both = self._linear(layer, normed, "gate_up")
        gate, up = graph.add_multiple("Split", both, results=["gate", "up"], axis=-1, num_outputs=2)
        silu = graph.add("com.microsoft::QuickGelu", gate, alpha=1.0)
        return self._linear(layer, graph.add("Mul", silu, up), "down")

    def _linear(self, layer: int, values: str, joined: str) -> str:
        """Multiply with several of a layer's matrices at once, as one of all their rows, and add their biases."""
        names, biases, parts = layer_tensors(layer), layer_biases(layer), JOINED[joined]
        matrices = [self._weights.tensor(names[part]) for part in parts]
        matrix = np.concatenate(matrices)
        product = self._kernels.linear(self._graph, values, matrix)
        self.products.append(Product(layer, joined, values, product, *matrix.shape))
        if not set(parts) & set(self._config.biases):
            return product
        added = [
            self._weights.tensor(biases[part])
            if part in self._config.biases
            else np.zeros(len(matrix), np.float32)
            for part, matrix in zip(parts, matrices, strict=True)
        ]
        return self._graph.add("Add", product, self._graph.constant(np.concatenate(added)))
