"""Put matrices into a graph, in each of the number formats that an engine can run ("kinds")."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.onnx_graph import GraphBuilder
from penstock_inference.formats import Floats, Q8Blocks

_HEAD_BLOCK = 32  # GGUF's, so that its 8-bit codes are kept as they are


class Kernels(Protocol):
    """Add the nodes that multiply with, or look up in, one matrix `[outputs, inputs]`."""

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row with the matrix transposed."""

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Look up one row of the table for each token id."""

    def head(self, graph: GraphBuilder, values: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Multiply with the vocabulary's matrix, which decides the choice of a token and so keeps more digits."""


class Fp32Kernels:
    """Keep every weight in single precision: the reference."""

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row with the matrix transposed."""
        return graph.add("MatMul", values, graph.constant(matrix.T))

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Look up one row of the table for each token id."""
        return graph.add("Gather", graph.constant(table), ids)

    def head(self, graph: GraphBuilder, values: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Multiply with the vocabulary's matrix."""
        return graph.add("Gemm", values, graph.constant(table), transB=1, name="logits")


class Int8Kernels:
    """Keep weights as 8-bit codes with one scale a block; activations are rounded to 8 bits a block, too.

    Each row is rounded by itself, so a sequence's numbers do not depend on its neighbours in the batch.
    """

    def __init__(self, block_size: int = 32) -> None:
        self._block_size = block_size

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row with the matrix transposed."""
        blocks = quantize_blocks(matrix, self._block_size)
        return _matmul(graph, values, blocks, self._block_size)

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Look up one row of the table for each token id."""
        blocks = blocks or quantize_blocks(table, _HEAD_BLOCK)
        codes, scales = graph.constant(_offset_codes(blocks)), graph.constant(blocks.scales)
        return graph.add(
            "com.microsoft::GatherBlockQuantized",
            codes, ids, scales,
            bits=8, block_size=_HEAD_BLOCK, gather_axis=0, quantize_axis=1,
        )  # fmt: skip

    def head(self, graph: GraphBuilder, values: str, table: Floats, blocks: Q8Blocks | None) -> str:
        """Multiply with the vocabulary's matrix; its bytes are those of the embedding."""
        return _matmul(graph, values, blocks or quantize_blocks(table, _HEAD_BLOCK), _HEAD_BLOCK, name="logits")


class RowInt8Kernels(Int8Kernels):
    """Round weights to 8 bits with one scale an output, activations with one scale a row.

    The fastest for many rows; too coarse for the decoders measured, good for encoders. Vocabulary tables stay in blocks.
    """

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row with the matrix transposed."""
        outputs = quantize_blocks(matrix, matrix.shape[1])
        row_maxima = self._row_maxima(graph, values)
        step, zero = graph.constant(np.array(1 / 127, np.float32)), graph.constant(np.array(128, np.uint8))
        codes = graph.add("QuantizeLinear", graph.add("Div", values, row_maxima), step, zero)
        weights = graph.constant(outputs.codes.T), step, graph.constant(outputs.scales[:, 0]), zero
        product = graph.add("com.microsoft::MatMulIntegerToFloat", codes, *weights)
        return graph.add("Mul", product, row_maxima)

    @staticmethod
    def _row_maxima(graph: GraphBuilder, values: str) -> str:
        last_axis, tiny = graph.constant(np.array([-1])), graph.constant(np.array(1e-9, np.float32))
        maxima = graph.add("ReduceMax", graph.add("Abs", values), last_axis, keepdims=1)
        return graph.add("Max", maxima, tiny)


def quantize_blocks(matrix: Floats, block_size: int) -> Q8Blocks:
    """Round a matrix to 8-bit codes, symmetric about zero, one scale for each block of a row."""
    rows, columns = matrix.shape
    blocks = np.pad(matrix, ((0, 0), (0, -columns % block_size))).reshape(rows, -1, block_size)
    scales = np.abs(blocks).max(axis=2) / np.float32(127)
    codes = np.rint(blocks / np.where(scales == 0, 1, scales)[:, :, None]).astype(np.int8)
    return Q8Blocks(codes.reshape(rows, -1), scales)


def _matmul(graph: GraphBuilder, values: str, blocks: Q8Blocks, block_size: int, name: str = "") -> str:
    rows, columns = blocks.codes.shape
    codes = _offset_codes(blocks).reshape(rows, -1, block_size)
    return graph.add(
        "com.microsoft::MatMulNBits",
        values, graph.constant(codes), graph.constant(blocks.scales),
        K=columns, N=rows, bits=8, block_size=block_size, accuracy_level=4,
        name=name,
    )  # fmt: skip


def _offset_codes(blocks: Q8Blocks) -> npt.NDArray[np.uint8]:
    """Shift codes by 128, which is the zero point of an operator that is given none."""
    return (blocks.codes.view(np.uint8) ^ 0x80)
