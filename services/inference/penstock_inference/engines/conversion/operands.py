"""What a matrix multiplies, as the part of a graph that its operator may compute itself."""

from dataclasses import dataclass

import numpy as np

from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.formats import Floats


@dataclass(frozen=True, slots=True)
class Operand:
    """A value of a graph `[..., inputs]`, or what becomes of it first: one of the two at most."""

    values: str
    norm: Floats | None = None  # rows are divided by their root mean square, and multiplied with it (RMSNorm)
    epsilon: float = 0.0  # of the norm
    gated: bool = False  # values are [..., 2 * inputs], and silu(first half) * second half is meant (SwiGLU)

    def compute(self, graph: GraphBuilder) -> str:
        """Add the nodes that compute it, for an operator that takes plain values."""
        if self.norm is not None:
            scale = graph.constant(self.norm)
            return graph.add(
                "SimplifiedLayerNormalization", self.values, scale, axis=-1, epsilon=self.epsilon
            )
        if self.gated:
            gate, up = graph.add_multiple(
                "Split", self.values, results=["gate", "up"], axis=-1, num_outputs=2
            )
            return graph.add("Mul", graph.add("com.microsoft::QuickGelu", gate, alpha=1.0), up)
        return self.values

    def padded(self, graph: GraphBuilder, columns: int) -> "Operand":
        """Add so many columns of zeros."""
        if columns == 0:
            return self
        ends = np.array([0, columns])
        axes = graph.constant(np.array([-1]))
        return Operand(graph.add("Pad", self.compute(graph), graph.constant(ends), "", axes))
