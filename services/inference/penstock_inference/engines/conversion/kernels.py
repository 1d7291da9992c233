"""Put matrices into a graph, in each of the number formats that an engine can run ("kinds")."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.formats import Floats

_BLOCK = 32
_WIDE_BLOCK = 64
_WIDE = 4  # times as many rows as columns: gate and up, joined
_TABLE_BLOCK = 32  # GGUF's Q8_0 as well: rounding it again finds the codes it had
_ROWS_AT_ONCE = 4096  # bounds what quantising a large vocabulary takes beside its result


class Kernels(Protocol):
    """Add the nodes that multiply with, or look up in, one matrix `[outputs, inputs]`."""

    @property
    def stored(self) -> npt.DTypeLike:
        """Say in what numbers keys and values are kept."""

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row of values with the matrix transposed."""

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""

    def head(self, graph: GraphBuilder, values: str, table: Floats) -> str:
        """Multiply with the vocabulary's table, which chooses the token and so is kept more exact."""


class Fp32Kernels:
    """Keep every weight in single precision: the reference."""

    stored = np.float32

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row of values with the matrix transposed."""
        return graph.add("MatMul", values, graph.constant(matrix.T))

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""
        return graph.add("Gather", graph.constant(table), ids)

    def head(self, graph: GraphBuilder, values: str, table: Floats) -> str:
        """Multiply with the table as it lies, so that it is stored once."""
        return graph.add("Gemm", values, graph.constant(table), transB=1)


class Int8Kernels:
    """Keep weights as 8-bit codes, one scale a block; the operator rounds activations likewise.

    Each row is rounded by itself, so a sequence's numbers do not depend on its neighbours in the batch.
    The widest of a layer's matrices, which takes almost half of the time, lies in longer blocks (decision 14).
    """

    stored = np.float16

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row of values with the matrix transposed."""
        rows, columns = matrix.shape
        return _matmul(graph, values, matrix, _WIDE_BLOCK if rows > _WIDE * columns else _BLOCK)

    def embedding(self, graph: GraphBuilder, ids: str, table: Floats) -> str:
        """Look up the row of each token id."""
        blocks = quantize_blocks(table, _TABLE_BLOCK)
        return graph.add(
            "com.microsoft::GatherBlockQuantized",
            graph.constant(_unsigned(blocks.codes)), ids, graph.constant(blocks.scales),
            bits=8, block_size=_TABLE_BLOCK, gather_axis=0, quantize_axis=1,
        )  # fmt: skip

    def head(self, graph: GraphBuilder, values: str, table: Floats) -> str:
        """Multiply with the table's codes, which are stored once for both of its uses."""
        return _matmul(graph, values, table, _TABLE_BLOCK)


class RowInt8Kernels(Int8Kernels):
    """Round weights to 8 bits with one scale an output, activations with one scale a row.

    The fastest for many rows. Good for encoders, too coarse for decoders (perplexity rises by 3 %).
    """

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row of values with the matrix transposed."""
        weights = quantize_blocks(matrix, matrix.shape[1])
        row_maxima = self._row_maxima(graph, values)
        step, zero = graph.constant(np.array(1 / 127, np.float32)), graph.constant(np.array(128, np.uint8))
        codes = graph.add("QuantizeLinear", graph.add("Div", values, row_maxima), step, zero)
        product = graph.add(
            "com.microsoft::MatMulIntegerToFloat",
            codes, graph.constant(weights.codes.T), step, graph.constant(weights.scales[:, 0]), zero,
        )  # fmt: skip
        return graph.add("Mul", product, row_maxima)

    @staticmethod
    def _row_maxima(graph: GraphBuilder, values: str) -> str:
        last_axis, tiny = graph.constant(np.array([-1])), graph.constant(np.array(1e-9, np.float32))
        maxima = graph.add("ReduceMax", graph.add("Abs", values), last_axis, keepdims=1)
        return graph.add("Max", maxima, tiny)


class QuantizedMatrix(NamedTuple):
    """A matrix as codes and scales: weight = code * scale, a row's last block filled up with zeros."""

    codes: npt.NDArray[np.int8]  # [rows, blocks * block_size]
    scales: Floats  # [rows, blocks]


def quantize_blocks(matrix: Floats, block_size: int) -> QuantizedMatrix:
    """Round a matrix to 8-bit codes, symmetric about zero, one scale for each block of a row."""
    rows, columns = matrix.shape
    blocks = -(-columns // block_size)
    codes = np.zeros((rows, blocks * block_size), np.int8)
    scales = np.zeros((rows, blocks), np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        codes[part], scales[part] = _quantize_rows(matrix[part], blocks, block_size)
    return QuantizedMatrix(codes, scales)


def _quantize_rows(matrix: Floats, blocks: int, block_size: int) -> tuple[npt.NDArray[np.int8], Floats]:
    rows, columns = matrix.shape
    values = np.zeros((rows, blocks * block_size), np.float32)
    values[:, :columns] = matrix
    in_blocks = values.reshape(rows, blocks, block_size)
    scales = np.abs(in_blocks).max(axis=2) / np.float32(127)
    in_blocks /= np.where(scales == 0, 1, scales)[:, :, None]
    return np.rint(values).astype(np.int8), scales


def _matmul(graph: GraphBuilder, values: str, matrix: Floats, block_size: int) -> str:
    rows, columns = matrix.shape
    blocks = quantize_blocks(matrix, block_size)
    codes = _unsigned(blocks.codes).reshape(rows, -1, block_size)
    return graph.add(
        "com.microsoft::MatMulNBits",
        values, graph.constant(codes), graph.constant(blocks.scales),
        K=columns, N=rows, bits=8, block_size=block_size, accuracy_level=4,
    )  # fmt: skip


def _unsigned(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Shift codes by 128, the zero point that the operators assume."""
    return np.bitwise_xor(codes.view(np.uint8), np.uint8(0x80))
