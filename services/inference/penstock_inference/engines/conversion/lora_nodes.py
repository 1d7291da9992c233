"""Add low-rank adapters (LoRA, arXiv 2106.09685) to a step graph, for any mixture of them in one batch.

Adapters lie side by side: each has columns of its own in a product of low rank, and the sequences of others get zeros
there, not what overflowed. So a sequence gets the same bits, whichever other adapters there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from penstock_inference.engines.conversion.onnx_graph import Dims, GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
from penstock_inference.formats.llama_tensors import JOINED

# Products are of so many columns at a time: the kernels sum in pieces whose length depends on the number of columns if
# there are more, and on the rows and threads among which they are shared out.
GROUP_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class Product:
    """Where a layer's input meets one of its joined matrices."""

    layer: int
    matrix: str  # one of JOINED
    operand: Operand
    result: str  # in the graph
    outputs: int
    inputs: int


def add_adapters(graph: GraphBuilder, products: Sequence[Product]) -> None:
    """Add to each product what adapters add to it.

    Inputs: for each joined matrix `own_<matrix> [rows, 1, columns]`, which columns are those of each row's adapter; for
    each layer and matrix
    `lora_a_<layer>_<matrix> [columns / 16, 16, inputs]` and `lora_b_<layer>_<matrix> [columns, outputs]`.
    """
    nodes = _LoraNodes(graph)
    adapted: dict[str, str] = {}  # results that operands were made of before
    for product in products:
        values = adapted.get(product.operand.values, product.operand.values)
        operand = replace(product.operand, values=values)
        made = graph.replace(product.result, partial(nodes.add, replace(product, operand=operand)))
        adapted[product.result] = made


class _LoraNodes:
    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph
        self._nothing = graph.constant(np.array(0, np.float32))
        self._by_row = graph.constant(np.array([0, 1, -1]))
        for matrix in JOINED:
            graph.input(f"own_{matrix}", np.bool_, ["rows", 1, matrix])

    def add(self, product: Product) -> str:
        """Give the sum of a product and what each token's adapter adds to it."""
        graph, place, columns = self._graph, f"{product.layer}_{product.matrix}", product.matrix
        dims: Dims = [f"groups_{columns}", GROUP_COLUMNS, product.inputs]
        down = graph.input(f"lora_a_{place}", np.float32, dims)
        up = graph.input(f"lora_b_{place}", np.float32, [columns, product.outputs])
        tokens = graph.add(
            "Reshape", product.operand.compute(graph), graph.constant(np.array([1, -1, product.inputs]))
        )
        groups = graph.add("com.microsoft::FusedMatMul", tokens, down, transB=1)
        by_token = graph.add("Transpose", groups, perm=[1, 0, 2])
        low = graph.add("Reshape", by_token, self._by_row)
        own = graph.add("Where", f"own_{columns}", low, self._nothing)
        return graph.add("Add", product.result, graph.add("MatMul", own, up))
