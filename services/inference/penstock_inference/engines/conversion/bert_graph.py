"""Build the graph of a BERT sentence encoder (arXiv 1810.04805, 1908.10084): one unit vector a text."""

from pathlib import Path

import numpy as np

from penstock_inference.engines.conversion.kernels import Kernels
from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
from penstock_inference.formats import Floats
from penstock_inference.formats.sentence_encoder import SentenceEncoderWeights


def build_bert_graph(weights: SentenceEncoderWeights, kernels: Kernels, directory: Path) -> None:
    """Write the graph and its weights into a directory.

    Inputs: `ids [batch, tokens]` and `mask [batch, tokens]`, 1 for a token and 0 for padding.
    Output: `embeddings [batch, hidden]`, the mean of each text's token vectors, scaled to length 1.
    """
    with GraphBuilder(directory) as graph:
        encoder = _Encoder(graph, weights, kernels)
        hidden = encoder.embed()
        for layer in range(weights.config.layers):
            hidden = encoder.layer(f"encoder.layer.{layer}", hidden)
        encoder.pool(hidden)
        graph.save()


class _Encoder:
    """Adds the parts of the model to the graph, in order."""

    def __init__(self, graph: GraphBuilder, weights: SentenceEncoderWeights, kernels: Kernels) -> None:
        self._graph = graph
        self._weights = weights
        self._config = weights.config
        self._kernels = kernels

    def embed(self) -> str:
        graph = self._graph
        ids = graph.input("ids", np.int64, ["batch", "tokens"])
        graph.input("mask", np.int32, ["batch", "tokens"])
        words = self._kernels.embedding(graph, ids, self._tensor("embeddings.word_embeddings.weight"))
        # Every text is the first segment of its input, so the segment's vector is part of each position's.
        places = self._tensor("embeddings.position_embeddings.weight")
        places = places + self._tensor("embeddings.token_type_embeddings.weight")[0]
        end = graph.add("Shape", ids, start=1, end=2)
        axis = graph.constant(np.array([0]))
        places_used = graph.add("Slice", graph.constant(places), axis, end, axis)
        return self._norm("embeddings.LayerNorm", graph.add("Add", words, places_used))

    def layer(self, prefix: str, hidden: str) -> str:
        attended = self._attention(f"{prefix}.attention", hidden)
        hidden = self._add_and_norm(f"{prefix}.attention.output", hidden, attended)
        inner = self._linear(hidden, f"{prefix}.intermediate.dense")
        bias = self._graph.constant(self._tensor(f"{prefix}.intermediate.dense.bias"))
        active = self._graph.add("com.microsoft::BiasGelu", inner, bias)
        return self._add_and_norm(f"{prefix}.output", hidden, active)

    def pool(self, hidden: str) -> None:
        """Sum the tokens' vectors; scaled to length 1, their sum is their mean."""
        graph = self._graph
        weights = graph.add("Unsqueeze", graph.add("Cast", "mask", to=1), graph.constant(np.array([1])))
        total = graph.add("Squeeze", graph.add("MatMul", weights, hidden), graph.constant(np.array([1])))
        unit = graph.add("LpNormalization", total, axis=-1, p=2)
        graph.output("embeddings", unit, np.float32, ["batch", self._config.hidden_size])

    def _attention(self, prefix: str, hidden: str) -> str:
        graph = self._graph
        parts = [f"{prefix}.self.{part}" for part in ("query", "key", "value")]
        joined = self._linear(hidden, *parts)
        split = graph.add_multiple("Split", joined, results=["query", "key", "value"], axis=-1, num_outputs=3)
        bias = np.concatenate([self._tensor(f"{part}.bias") for part in parts])
        return graph.add(
            "com.microsoft::MultiHeadAttention",
            *split, graph.constant(bias), "mask",
            num_heads=self._config.heads,
        )  # fmt: skip

    def _add_and_norm(self, prefix: str, hidden: str, values: str) -> str:
        graph = self._graph
        update = self._linear(values, f"{prefix}.dense")
        names = [f"{prefix}.LayerNorm.weight", f"{prefix}.LayerNorm.bias", f"{prefix}.dense.bias"]
        constants = [graph.constant(self._tensor(name)) for name in names]
        operator = "com.microsoft::SkipLayerNormalization"
        return graph.add(operator, update, hidden, *constants, epsilon=self._config.norm_epsilon)

    def _norm(self, prefix: str, values: str) -> str:
        constants = [self._graph.constant(self._tensor(f"{prefix}.{part}")) for part in ("weight", "bias")]
        return self._graph.add("LayerNormalization", values, *constants, epsilon=self._config.norm_epsilon)

    def _linear(self, values: str, *names: str) -> str:
        """Multiply with several matrices at once, as one of all their rows."""
        matrix = np.concatenate([self._tensor(f"{name}.weight") for name in names])
        return self._kernels.linear(self._graph, Operand(values), matrix)

    def _tensor(self, name: str) -> Floats:
        return self._weights.tensor(name)
