"""Put matrices into a graph as 4-bit codes, of which those that came in 4 bits lose nothing."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.conversion.kernels import Int8Kernels
from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.formats import Floats, UnsupportedModelError

_BLOCK = 32  # GGUF's: rounding Q4_0 or Q4_1 again finds the codes that they had
_MIDDLE = 8


class Int4Matrix(NamedTuple):
    """A matrix in blocks of 32: weight = scale * (code - zero) + offset."""

    codes: npt.NDArray[np.uint8]  # [rows, blocks, 32], 0 to 15
    scales: Floats  # [rows, blocks]
    zeros: npt.NDArray[np.uint8]  # [rows, blocks], 0 to 15
    offsets: Floats  # [rows, blocks]


class Int4Kernels(Int8Kernels):
    """Keep the matrices of layers as 4-bit codes; the vocabulary's table stays in 8 bits.

    The operator knows whole zero points only. What a block's zero point lacks of its true place is one number, and its
    product with the sum of the block's inputs is that of one more column: so inputs are followed by their sums.
    """

    def linear(self, graph: GraphBuilder, values: str, matrix: Floats) -> str:
        """Multiply each row of values with the matrix transposed."""
        rows, columns = matrix.shape
        if columns % _BLOCK:
            raise UnsupportedModelError(
                f"a matrix of {columns} columns cannot be cut into blocks of {_BLOCK}"
            )
        blocks = columns // _BLOCK
        spare = -blocks % _BLOCK
        weights = quantize_int4(matrix)
        offsets = quantize_int4(np.pad(weights.offsets, ((0, 0), (0, spare))), symmetric=True)
        codes = np.concatenate([weights.codes, offsets.codes], axis=1)
        scales = np.concatenate([weights.scales, offsets.scales], axis=1)
        zeros = np.concatenate([weights.zeros, offsets.zeros], axis=1)
        in_blocks = graph.add("Reshape", values, graph.constant(np.array([0, 0, blocks, _BLOCK])))
        sums = graph.add("ReduceSum", in_blocks, graph.constant(np.array([-1])), keepdims=0)
        sums = graph.add("Pad", sums, graph.constant(np.array([0, 0, 0, 0, 0, spare])))
        return graph.add(
            "com.microsoft::MatMulNBits",
            graph.add("Concat", values, sums, axis=-1),
            graph.constant(_pack(codes)),
            graph.constant(scales),
            graph.constant(_pack(zeros)),
            K=columns + blocks + spare, N=rows, bits=4, block_size=_BLOCK, accuracy_level=4,
        )  # fmt: skip


def quantize_int4(matrix: Floats, *, symmetric: bool = False) -> Int4Matrix:
    """Round each block as Q4_0 does, about zero, or as Q4_1 does, from its least to its largest: as is closer."""
    in_blocks = matrix.reshape(len(matrix), -1, _BLOCK)
    first = _round_about_zero(in_blocks)
    if symmetric:
        return first
    second = _round_in_range(in_blocks)
    is_first = _errors(in_blocks, first) <= _errors(in_blocks, second)
    return Int4Matrix(
        np.where(is_first[:, :, None], first.codes, second.codes),
        np.where(is_first, first.scales, second.scales),
        np.where(is_first, first.zeros, second.zeros),
        np.where(is_first, first.offsets, second.offsets),
    )


def _round_about_zero(blocks: Floats) -> Int4Matrix:
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)[:, :, 0]
    scales = farthest / np.float32(-_MIDDLE)
    codes = np.rint(_divide(blocks, scales)) + _MIDDLE
    zeros = np.full(scales.shape, _MIDDLE, np.uint8)
    return Int4Matrix(np.clip(codes, 0, 15).astype(np.uint8), scales, zeros, np.zeros_like(scales))


def _round_in_range(blocks: Floats) -> Int4Matrix:
    least = blocks.min(axis=2)
    scales = (blocks.max(axis=2) - least) / np.float32(15)
    codes = np.clip(np.rint(_divide(blocks - least[:, :, None], scales)), 0, 15).astype(np.uint8)
    zeros = np.clip(np.rint(-_divide(least[:, :, None], scales)[:, :, 0]), 0, 15).astype(np.uint8)
    return Int4Matrix(codes, scales, zeros, least + zeros * scales)


def _divide(blocks: Floats, scales: Floats) -> Floats:
    return np.asarray(blocks / np.where(scales == 0, np.float32(1), scales)[:, :, None])


def _errors(blocks: Floats, rounded: Int4Matrix) -> Floats:
    codes = rounded.codes - rounded.zeros[:, :, None].astype(np.float32)
    restored = codes * rounded.scales[:, :, None] + rounded.offsets[:, :, None]
    return np.asarray(np.square(restored - blocks).sum(axis=2))


def _pack(nibbles: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Put two neighbours into a byte, the first into its lower half."""
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    return np.asarray(nibbles[..., 0::2] | nibbles[..., 1::2] << 4)
