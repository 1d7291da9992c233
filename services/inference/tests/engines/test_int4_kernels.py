"""Four bits a weight: what came in four bits is kept as it is, all else comes as near as it can."""

import gguf
import numpy as np
import pytest
from penstock_inference.engines.conversion.int4_kernels import Int4Kernels, Int4Matrix, quantize_int4
from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import UnsupportedModelError


def restore(matrix: Int4Matrix) -> np.ndarray:
    blocks = (matrix.codes - matrix.zeros[:, :, None].astype(np.float32)) * matrix.scales[:, :, None]
    return (blocks + matrix.offsets[:, :, None]).reshape(len(blocks), -1)


def weights(rows: int = 48, columns: int = 160) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((rows, columns), np.float32)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_weights_that_came_in_four_bits_lose_nothing(kind):
    kind = gguf.GGMLQuantizationType[kind]
    stored = gguf.dequantize(gguf.quantize(weights(), kind), kind)

    assert np.abs(restore(quantize_int4(stored)) - stored).max() < 1e-6


def test_other_weights_come_at_least_as_near_as_in_either_way_alone():
    exact = weights()
    error = np.abs(restore(quantize_int4(exact)) - exact).mean()

    for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q4_1):
        alone = gguf.dequantize(gguf.quantize(exact, kind), kind)
        assert error < np.abs(alone - exact).mean()


@pytest.mark.parametrize("constant", [0.0, 5.0, -5.0])
def test_blocks_of_one_value_stay_what_they_are(constant):
    matrix = np.full((2, 64), constant, np.float32)

    assert np.allclose(restore(quantize_int4(matrix)), matrix, atol=1e-6)


def test_products_are_those_of_the_rounded_weights(tmp_path):
    matrix = quantize_int4(weights())
    values = np.random.default_rng(4).standard_normal((2, 5, 160), np.float32)
    with GraphBuilder(tmp_path) as graph:
        name = graph.input("values", np.float32, ["batch", "tokens", 160])
        graph.output(
            "product", Int4Kernels().linear(graph, name, weights()), np.float32, ["batch", "tokens", 48]
        )
        graph.save()

    product = Session(tmp_path / "model.onnx", threads=1).run("product", {"values": values})

    expected = values @ restore(matrix).T
    assert np.std(product - expected) < 0.02 * np.std(expected)


def test_a_matrix_that_cannot_be_cut_into_blocks_is_refused(tmp_path):
    with GraphBuilder(tmp_path) as graph, pytest.raises(UnsupportedModelError, match="40 columns"):
        Int4Kernels().linear(graph, "values", weights(4, 40))
