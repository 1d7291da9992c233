"""The operators beside their definition: rows rounded in blocks, a norm or a gate before, a residual after."""

import functools
from pathlib import Path

import numpy as np
import pytest
from block_matrices import restore
from penstock_inference.engines.conversion.block_matrix import round_to_8_bits
from penstock_inference.engines.conversion.int4_rounding import round_to_4_bits
from penstock_inference.engines.conversion.kernels import BlockKernels
from penstock_inference.engines.conversion.onnx_graph import GRAPH_FILE, GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
from penstock_inference.engines.onnx_session import Session

COLUMNS = 160
EPSILON = 1e-5
ROUNDINGS = {"8 bits": round_to_8_bits, "4 bits": round_to_4_bits}
NORM = np.random.default_rng(1).uniform(0.5, 2, COLUMNS).astype(np.float32)


def rounded(rows: np.ndarray) -> np.ndarray:
    """Round each 32 values to 8 bits, by their largest."""
    blocks = rows.reshape(*rows.shape[:-1], -1, 32)
    scales = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    return np.asarray(np.rint(blocks / scales) * scales).reshape(rows.shape)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def session(directory: Path, matrix: np.ndarray, rounding, *, width: int = COLUMNS, **operand) -> Session:
    with GraphBuilder(directory) as graph:
        values = graph.input("values", np.float32, ["batch", "tokens", width])
        residual = graph.input("residual", np.float32, ["batch", "tokens", len(matrix)])
        result = BlockKernels(rounding).linear(graph, Operand(values, **operand), matrix, residual)
        graph.output("product", result, np.float32, ["batch", "tokens", len(matrix)])
        graph.save()
    return Session(directory / GRAPH_FILE, threads=2)


def normed(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.sqrt(np.square(values).mean(axis=-1, keepdims=True) + EPSILON) * NORM)


def gated(values: np.ndarray) -> np.ndarray:
    gate, up = np.split(values, 2, axis=-1)
    return np.asarray(gate / (1 + np.exp(-gate)) * up)


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
@pytest.mark.parametrize("outputs", [1, 48, 100])
@pytest.mark.parametrize("tokens", [1, 4, 7])
@pytest.mark.parametrize(
    "operand",
    [{}, {"norm": NORM, "epsilon": EPSILON}, {"gated": True}],
    ids=["plain", "normed", "gated"],
)
def test_products_are_those_of_the_rounded_rows_and_weights(tmp_path, rounding, outputs, tokens, operand):
    width = COLUMNS * (2 if "gated" in operand else 1)
    meaning = gated if "gated" in operand else normed if operand else np.asarray
    matrix, values = random(outputs, COLUMNS), random(2, tokens, width) * 3
    residual = random(2, tokens, outputs)
    run = session(tmp_path, matrix, rounding, width=width, **operand).run

    product = run("product", {"values": values, "residual": residual})

    expected = rounded(meaning(values)) @ restore(rounding(matrix)).T + residual
    # Where rounding is a matter of the last bit of a norm or a gate, a code may be another.
    assert np.abs(product - expected).max() < (0.1 if operand else 1e-4)
    assert np.abs(product - expected).mean() < (3e-3 if operand else 1e-5)


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
def test_a_row_gets_the_same_bits_whatever_is_multiplied_beside_it(tmp_path, rounding):
    values, residual = random(1, 33, COLUMNS), np.zeros((1, 33, 100), np.float32)
    run = functools.partial(session(tmp_path, random(100, COLUMNS), rounding).run, "product")
    together = run({"values": values, "residual": residual})

    for size in (1, 2, 3, 5, 8, 13):
        parts = [
            run({"values": values[:, at : at + size], "residual": residual[:, at : at + size]})
            for at in range(0, 33, size)
        ]
        assert np.array_equal(np.concatenate(parts, axis=1), together)


def test_columns_that_fill_no_block_are_filled_up(tmp_path):
    matrix, values = random(20, 40), random(1, 3, 40)
    run = session(tmp_path, matrix, round_to_8_bits, width=40).run

    product = run("product", {"values": values, "residual": np.zeros((1, 3, 20), np.float32)})

    assert np.abs(product - values @ matrix.T).max() < 0.2


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 17, COLUMNS - 1])
def test_what_is_no_number_is_never_lost_and_stays_in_its_row(tmp_path, fault, place):
    values, residual = random(1, 3, COLUMNS), np.zeros((1, 3, 48), np.float32)
    run = session(tmp_path, random(48, COLUMNS), round_to_8_bits).run
    whole = run("product", {"values": values, "residual": residual})
    values[0, 1, place] = fault

    product = run("product", {"values": values, "residual": residual})

    assert not np.isfinite(product[0, 1]).any()
    assert np.array_equal(product[0, [0, 2]], whole[0, [0, 2]])


@pytest.mark.parametrize("width", [64, 40])
def test_a_token_is_looked_up_in_the_codes_that_it_is_chosen_from(tmp_path, width):
    table = random(70, width)
    with GraphBuilder(tmp_path) as graph:
        found = BlockKernels().embedding(graph, graph.input("ids", np.int64, ["rows", 1]), table)
        graph.output("found", found, np.float32, ["rows", 1, width])
        graph.save()
    lookup = Session(tmp_path / GRAPH_FILE, threads=1)
    ids = np.array([[69], [0], [16], [16]])

    expected = restore(round_to_8_bits(np.pad(table, ((0, 0), (0, -width % 32)))))[:, :width]

    assert np.array_equal(lookup.run("found", {"ids": ids}), expected[ids])
    with pytest.raises(Exception, match="not of the vocabulary"):
        lookup.run("found", {"ids": np.array([[70]])})


@pytest.mark.parametrize(("K", "N"), [(64, 48), (32, 32), (32, 64), (33, 48), (0, 48)])
def test_a_matrix_that_is_not_as_large_as_it_says_is_refused(tmp_path, K, N):  # noqa: N803 - attributes' names
    weights = round_to_8_bits(random(48, 32))
    with GraphBuilder(tmp_path) as graph:
        values = graph.input("values", np.float32, ["rows", K])
        constants = [graph.constant(weights.codes), graph.constant(weights.scales)]
        shape = {"K": K, "N": N, "bits": 8, "gated": 0, "epsilon": 0.0}
        result = graph.add("penstock::BlockLinear", values, *constants, "", "", "", **shape)
        graph.output("product", result, np.float32, ["rows", N])
        graph.save()

    with pytest.raises(Exception, match=r"another matrix|multiple of 32"):
        Session(tmp_path / GRAPH_FILE, threads=1)
