"""Lay out matrices of 8- or 4-bit codes as our operators read them (native/linear.hpp)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import Floats

BLOCK = (
    32  # inputs that share a scale, as in GGUF's Q8_0, Q4_0 and Q4_1: rounding those again finds their codes
)
_PANEL = 16  # outputs that lie side by side
_ROWS_AT_ONCE = 4096  # bounds what rounding a large vocabulary takes beside its result

Codes = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class BlockMatrix:
    """A matrix `[outputs, inputs]`: weight = scale * (code - zero), or with offsets scale * code + offset.

    The zero is 128, or 8 of 4 bits. Outputs are filled up to whole panels, as the operators want them.
    """

    outputs: int
    inputs: int  # a multiple of 32
    bits: int  # 8 or 4
    codes: Codes  # [panels, inputs / 4, 16, 4]; of 4 bits [panels, inputs / 8, 16, 4], two fours of inputs in a byte
    scales: Halves  # [panels, blocks, 16]
    offsets: Halves | None = None  # likewise


@dataclass(frozen=True, slots=True)
class RoundedRows:
    """Rows of a matrix in blocks of 32, as numbers of their own."""

    codes: Codes  # [rows, blocks, 32]
    scales: Halves  # [rows, blocks]
    offsets: Halves | None = None  # [rows, blocks]


def round_to_8_bits(matrix: Floats) -> BlockMatrix:
    """Round each block to -127 to 127 times its scale, which is the least that cuts no weight off."""
    parts = [
        round_rows(matrix[start : start + _ROWS_AT_ONCE]) for start in range(0, len(matrix), _ROWS_AT_ONCE)
    ]
    codes = np.concatenate([part.codes for part in parts])
    return arrange(RoundedRows(codes, np.concatenate([part.scales for part in parts])), bits=8)


def arrange(rows: RoundedRows, *, bits: int) -> BlockMatrix:
    """Put the rows of a matrix into panels."""
    outputs, blocks = rows.scales.shape
    inputs = blocks * BLOCK
    spare = -outputs % _PANEL
    codes = np.pad(rows.codes.reshape(outputs, inputs), ((0, spare), (0, 0)))
    panels: Codes = codes.reshape(-1, _PANEL, inputs // 4, 4).transpose(0, 2, 1, 3)
    if bits == 4:  # noqa: PLR2004 - of two
        panels = panels[:, 0::2] | np.left_shift(panels[:, 1::2], 4, dtype=np.uint8)
    offsets = None if rows.offsets is None else _arrange_scales(rows.offsets, spare)
    scales = _arrange_scales(rows.scales, spare)
    return BlockMatrix(outputs, inputs, bits, np.ascontiguousarray(panels), scales, offsets)


def _arrange_scales(scales: Halves, spare: int) -> Halves:
    padded = np.pad(scales, ((0, spare), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, _PANEL, scales.shape[1]).transpose(0, 2, 1))


def round_rows(matrix: Floats) -> RoundedRows:
    """Round each block of each row to -127 to 127 times its scale."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    maxima = np.abs(blocks).max(axis=2)
    scales = (maxima / np.float32(127)).astype(np.float16)
    too_small = scales.astype(np.float32) * 127 < maxima  # and the largest weight would be cut off
    scales[too_small] = np.nextafter(scales[too_small], np.float16(np.inf))
    divisors = np.where(scales == 0, np.float32(1), scales.astype(np.float32))[:, :, None]
    codes = np.rint(blocks / divisors).astype(np.int8)
    return RoundedRows(codes.view(np.uint8) ^ np.uint8(0x80), scales)
