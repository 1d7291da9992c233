"""Eight bits a weight: products are those of the rounded weights, in blocks as long as a matrix bears."""

import numpy as np
import onnx
import pytest
from penstock_inference.engines.conversion.kernels import Int8Kernels, quantize_blocks
from penstock_inference.engines.conversion.onnx_graph import GraphBuilder
from penstock_inference.engines.onnx_session import Session

COLUMNS = 128


@pytest.mark.parametrize(
    ("rows", "block_size"), [(3 * COLUMNS, 32), (5 * COLUMNS, 64)], ids=["joined qkv", "gate and up"]
)
def test_a_matrix_that_is_much_wider_than_its_inputs_lies_in_longer_blocks(tmp_path, rows, block_size):
    random = np.random.default_rng(5)
    matrix = random.standard_normal((rows, COLUMNS), np.float32)
    values = random.standard_normal((2, 3, COLUMNS), np.float32)
    with GraphBuilder(tmp_path) as graph:
        name = graph.input("values", np.float32, ["batch", "tokens", COLUMNS])
        graph.output(
            "product", Int8Kernels().linear(graph, name, matrix), np.float32, ["batch", "tokens", rows]
        )
        graph.save()

    product = Session(tmp_path / "model.onnx", threads=1).run("product", {"values": values})

    (node,) = onnx.load(tmp_path / "model.onnx").graph.node
    assert {each.name: each.i for each in node.attribute}["block_size"] == block_size
    rounded = quantize_blocks(matrix, block_size)
    codes = rounded.codes.reshape(rows, -1, block_size).astype(np.float32)
    expected = values @ (codes * rounded.scales[:, :, None]).reshape(rows, -1).T
    assert np.std(product - expected) < 0.02 * np.std(expected)
