"""Weights in 8 or 4 bits: what came in such blocks is kept as it is, all else comes as near as it can."""

import gguf
import numpy as np
import pytest
from block_matrices import restore
from penstock_inference.engines.conversion.block_matrix import round_to_8_bits
from penstock_inference.engines.conversion.int4_rounding import round_to_4_bits


def weights(rows: int = 48, columns: int = 160) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((rows, columns), np.float32)


@pytest.mark.parametrize(
    ("kind", "round_matrix"),
    [("Q8_0", round_to_8_bits), ("Q4_0", round_to_4_bits), ("Q4_1", round_to_4_bits)],
)
@pytest.mark.parametrize("rows", [48, 37])
def test_weights_that_came_in_blocks_lose_nothing(kind, round_matrix, rows):
    kind = gguf.GGMLQuantizationType[kind]
    stored = gguf.dequantize(gguf.quantize(weights(rows), kind), kind)

    assert np.abs(restore(round_matrix(stored)) - stored).max() < 1e-6


def test_weights_about_zero_need_no_offsets():
    kind = gguf.GGMLQuantizationType.Q4_0
    stored = gguf.dequantize(gguf.quantize(weights(), kind), kind)

    assert round_to_4_bits(stored).offsets is None
    assert round_to_4_bits(stored + 1).offsets is not None


def test_other_weights_come_at_least_as_near_in_4_bits_as_in_either_way_alone():
    exact = weights()
    error = np.abs(restore(round_to_4_bits(exact)) - exact).mean()

    for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q4_1):
        alone = gguf.dequantize(gguf.quantize(exact, kind), kind)
        assert error < np.abs(alone - exact).mean()


@pytest.mark.parametrize("size", [1e-7, 1e-4, 1.0, 1e4])
def test_no_weight_is_cut_off_in_8_bits(size):
    exact = weights() * np.float32(size)
    rounded = round_to_8_bits(exact)

    assert np.abs(restore(rounded) - exact).max() <= float(rounded.scales.max()) / 2 * 1.0001


@pytest.mark.parametrize("constant", [0.0, 5.0, -5.0])
@pytest.mark.parametrize("round_matrix", [round_to_8_bits, round_to_4_bits])
def test_blocks_of_one_value_stay_what_they_are(constant, round_matrix):
    matrix = np.full((2, 64), constant, np.float32)

    assert np.allclose(restore(round_matrix(matrix)), matrix, rtol=1e-3)
