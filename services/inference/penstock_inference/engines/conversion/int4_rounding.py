"""Round matrices to 4-bit codes, of which those that came in 4 bits lose nothing."""

import numpy as np

from penstock_inference.engines.conversion.block_matrix import (
    BLOCK,
    BlockMatrix,
    Halves,
    RoundedRows,
    arrange,
)
from penstock_inference.formats import Floats

_MIDDLE = 8


def round_to_4_bits(matrix: Floats) -> BlockMatrix:
    """Round each block as Q4_0 does, about zero, or as Q4_1 does, from its least to its largest: as is closer."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    about_zero, in_range = _round_about_zero(blocks), _round_in_range(blocks)
    is_first = _errors(blocks, about_zero) <= _errors(blocks, in_range)
    if is_first.all():
        return arrange(RoundedRows(about_zero.codes, about_zero.scales), bits=4)
    assert about_zero.offsets is not None
    assert in_range.offsets is not None
    rows = RoundedRows(
        np.where(is_first[:, :, None], about_zero.codes, in_range.codes),
        np.where(is_first, about_zero.scales, in_range.scales),
        np.where(is_first, about_zero.offsets, in_range.offsets),
    )
    return arrange(rows, bits=4)


def _round_about_zero(blocks: Floats) -> RoundedRows:
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)[:, :, 0]
    scales = (farthest / np.float32(-_MIDDLE)).astype(np.float16)
    codes = np.rint(_divide(blocks, scales)) + _MIDDLE
    return RoundedRows(np.clip(codes, 0, 15).astype(np.uint8), scales, -_MIDDLE * scales)


def _round_in_range(blocks: Floats) -> RoundedRows:
    least = blocks.min(axis=2).astype(np.float16)
    scales = ((blocks.max(axis=2) - least) / np.float32(15)).astype(np.float16)
    codes = np.rint(_divide(blocks - least[:, :, None], scales))
    return RoundedRows(np.clip(codes, 0, 15).astype(np.uint8), scales, least)


def _divide(blocks: Floats, scales: Halves) -> Floats:
    divisors = np.where(scales == 0, np.float32(1), scales.astype(np.float32))
    return np.asarray(blocks / divisors[:, :, None])


def _errors(blocks: Floats, rounded: RoundedRows) -> Floats:
    assert rounded.offsets is not None
    scales, offsets = (values.astype(np.float32)[:, :, None] for values in (rounded.scales, rounded.offsets))
    return np.asarray(np.square(rounded.codes * scales + offsets - blocks).sum(axis=2))
