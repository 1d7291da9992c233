"""The weights that a matrix in blocks stands for."""

import numpy as np
from penstock_inference.engines.conversion.block_matrix import BLOCK, BlockMatrix


def restore(matrix: BlockMatrix) -> np.ndarray:
    """Give weights `[outputs, inputs]`, one after the other as native/linear.hpp defines them."""
    codes = matrix.codes
    if matrix.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), -1, 16, 4)
    rows = codes.transpose(0, 2, 1, 3).reshape(-1, matrix.inputs).astype(np.float32)

    def by_weight(scales: np.ndarray) -> np.ndarray:
        return np.repeat(scales.transpose(0, 2, 1).reshape(len(rows), -1).astype(np.float32), BLOCK, axis=1)

    if matrix.offsets is None:
        rows = (rows - (128 if matrix.bits == 8 else 8)) * by_weight(matrix.scales)
    else:
        rows = rows * by_weight(matrix.scales) + by_weight(matrix.offsets)
    return rows[: matrix.outputs]
