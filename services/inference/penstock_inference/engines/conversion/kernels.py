"""Put matrices into a graph, in each of the number formats that an engine can run ("kinds")."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.conversion.block_matrix import BLOCK, BlockMatrix, round_to_8_bits
from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
from penstock_inference.formats import Floats


class Kernels(Protocol):
    """Add the nodes that multiply with, or look up in, one matrix `[outputs, inputs]`."""

    @property
    def stored(self) -> npt.DTypeLike:
        """Say in what numbers keys and values are kept."""

    def linear(self, graph: GraphBuilder, operand: Operand, matrix: Floats, residual: str = "") -> str:
        """Multiply each row of the operand with the matrix transposed, and add the residual, if there is one."""

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""

    def head(self, graph: GraphBuilder, operand: Operand, table: Floats) -> str:
        """Multiply with the vocabulary's table, which chooses the token and so is kept more exact."""


class Fp32Kernels:
    """Keep every weight in single precision: the reference."""

    stored = np.float32

    def linear(self, graph: GraphBuilder, operand: Operand, matrix: Floats, residual: str = "") -> str:
        """Multiply each row of the operand with the matrix transposed, and add the residual, if there is one."""
        product = graph.add("MatMul", operand.compute(graph), graph.constant(matrix.T))
        return graph.add("Add", residual, product) if residual else product

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""
        return graph.add("Gather", graph.constant(table), ids)

    def head(self, graph: GraphBuilder, operand: Operand, table: Floats) -> str:
        """Multiply with the table as it lies, so that it is stored once."""
        return graph.add("Gemm", operand.compute(graph), graph.constant(table), transB=1)


class BlockKernels:
    """Keep weights as codes in blocks; the operator rounds activations to 8 bits likewise (native/linear.hpp).

    Each row is rounded by itself, so a sequence's numbers do not depend on its neighbours in the batch.
    """

    stored = np.float16

    def __init__(self, round_matrix: Callable[[Floats], BlockMatrix] = round_to_8_bits) -> None:
        """Take how the matrices of layers are rounded. The vocabulary's table is in 8 bits."""
        self._round = round_matrix

    def linear(self, graph: GraphBuilder, operand: Operand, matrix: Floats, residual: str = "") -> str:
        """Multiply each row of the operand with the matrix transposed, and add the residual, if there is one."""
        return _multiply(graph, operand, matrix, self._round, residual)

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""
        width = table.shape[1]
        weights = round_to_8_bits(_padded(table))
        rows = graph.add("penstock::BlockLookup", ids, *_constants(graph, weights), **_shape(weights))
        if weights.inputs == width:
            return rows
        bounds = (graph.constant(np.array([bound])) for bound in (0, width, -1))
        return graph.add("Slice", rows, *bounds)

    def head(self, graph: GraphBuilder, operand: Operand, table: Floats) -> str:
        """Multiply with the table's codes, which are stored once for both of its uses."""
        return _multiply(graph, operand, table, round_to_8_bits)


def _multiply(
    graph: GraphBuilder,
    operand: Operand,
    matrix: Floats,
    round_matrix: Callable[[Floats], BlockMatrix],
    residual: str = "",
) -> str:
    weights = round_matrix(_padded(matrix))
    operand = operand.padded(graph, weights.inputs - matrix.shape[1])
    return graph.add(
        "penstock::BlockLinear",
        operand.values,
        *_constants(graph, weights),
        "" if operand.norm is None else graph.constant(operand.norm),
        residual,
        gated=int(operand.gated),
        epsilon=operand.epsilon,
        **_shape(weights),
    )


def _padded(matrix: Floats) -> Floats:
    """Fill the last block of each row up with zeros."""
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % BLOCK)))


def _constants(graph: GraphBuilder, weights: BlockMatrix) -> tuple[str, str, str]:
    offsets = "" if weights.offsets is None else graph.constant(weights.offsets)
    return graph.constant(weights.codes), graph.constant(weights.scales), offsets


def _shape(weights: BlockMatrix) -> dict[str, int]:
    return {"K": weights.inputs, "N": weights.outputs, "bits": weights.bits}
