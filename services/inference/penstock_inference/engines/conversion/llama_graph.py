"""Build the step graph of a decoder of the Llama family: RMSNorm, rotary positions, grouped queries, SwiGLU.

What its members add (biases, norms of heads, attention to a window) is in their configuration.
"""

from pathlib import Path

import numpy as np

from penstock_inference.engines.conversion.kernels import Kernels
from penstock_inference.engines.conversion.lora_nodes import Product, add_adapters
from penstock_inference.engines.conversion.onnx_graph import ADAPTED_GRAPH_FILE, Dims, GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
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
        hidden = decoder.embed()
        for layer in range(weights.config.layers):
            progress(CONVERTING, layer, weights.config.layers)
            hidden = decoder.layer(layer, hidden)
        decoder.logits(hidden)
        graph.save()
        add_adapters(graph, decoder.products)
        graph.save(ADAPTED_GRAPH_FILE)
    progress(CONVERTING, weights.config.layers, weights.config.layers)


class _Decoder:
    """Adds the parts of the model to the graph, in order. Between them goes the residual stream."""

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

    def layer(self, layer: int, hidden: str) -> str:
        names = layer_tensors(layer)
        query_key_value = self._linear(layer, "attention", self._normed(hidden, names["attention_norm"]))
        attended = self._attention(layer, query_key_value)
        hidden = self._linear(layer, "output", Operand(attended), hidden)
        gate_up = self._linear(layer, "gate_up", self._normed(hidden, names["feed_forward_norm"]))
        return self._linear(layer, "down", Operand(gate_up, gated=True), hidden)

    def logits(self, hidden: str) -> None:
        graph, config = self._graph, self._config
        graph.input("logit_rows", np.int64, ["logit_rows"])
        flat = graph.add("Reshape", hidden, graph.constant(np.array([-1, config.hidden_size])))
        wanted = graph.add("Gather", flat, "logit_rows")
        table = self._weights.tensor(EMBEDDING if config.tied_embeddings else HEAD)
        logits = self._kernels.head(graph, self._normed(wanted, FINAL_NORM), table)
        graph.output("logits", logits, np.float32, ["logit_rows", config.vocabulary_tokens])

    def _normed(self, values: str, weight: str) -> Operand:
        return Operand(values, norm=self._weights.tensor(weight), epsilon=self._config.rms_epsilon)

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
            parts[place] = graph.add("Reshape", self._normed(heads, names[norm]).compute(graph), joined)
        return graph.add("Concat", *parts, axis=-1)

    def _linear(self, layer: int, joined: str, operand: Operand, residual: str = "") -> str:
        """Multiply with several of a layer's matrices at once, as one of all their rows.

        Add their biases, and the residual, if there are any.
        """
        names, biases, parts = layer_tensors(layer), layer_biases(layer), JOINED[joined]
        matrices = [self._weights.tensor(names[part]) for part in parts]
        matrix = np.concatenate(matrices)
        product = self._kernels.linear(self._graph, operand, matrix, residual)
        self.products.append(Product(layer, joined, operand, product, *matrix.shape))
        if not set(parts) & set(self._config.biases):
            return product
        added = [
            self._weights.tensor(biases[part])
            if part in self._config.biases
            else np.zeros(len(matrix), np.float32)
            for part, matrix in zip(parts, matrices, strict=True)
        ]
        return self._graph.add("Add", product, self._graph.constant(np.concatenate(added)))
