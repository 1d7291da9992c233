"""The operator beside its definition: rotary positions, grouped queries, a window, any sequences in a step."""

import random
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.engines.block_tables import BlockTables
from penstock_inference.engines.conversion.onnx_graph import GRAPH_FILE, GraphBuilder
from penstock_inference.engines.kv_blocks import BLOCK_ROWS
from penstock_inference.engines.onnx_session import Session

LENGTHS = (150, 61, 7)
SHAPES = [(9, 3, 64, 0), (4, 4, 48, 0), (8, 2, 128, 37), (6, 1, 80, 5), (2, 1, 16, 0)]
ROUNDING = {np.float32: 5e-6, np.float16: 5e-3}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tokens_of_several_sequences_attend_to_what_came_before_them(shape, dtype, tmp_path):
    attention = Attention(tmp_path, shape, dtype)

    together = attention.compute([list(enumerate(LENGTHS))])

    for rows, expected in zip(together, attention.expected(), strict=True):
        assert np.abs(rows - expected).max() < ROUNDING[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_token_gets_the_same_bits_however_sequences_are_divided_among_steps(shape, dtype, tmp_path):
    attention, dice = Attention(tmp_path, shape, dtype), random.Random(20261121)
    together = attention.compute([list(enumerate(LENGTHS))])

    for longest in (1, 9, 40):
        divided = attention.compute(random_steps(dice, longest))
        assert all(np.array_equal(*rows) for rows in zip(together, divided, strict=True))


@pytest.mark.parametrize(
    ("name", "values"),
    [("slots", 3), ("slots", -1), ("positions", 160), ("positions", -1), ("block_tables", 31)],
)
def test_what_lies_outside_of_the_blocks_is_refused(name, values, tmp_path):
    attention = Attention(tmp_path, SHAPES[0], np.float32)
    inputs = attention.inputs([0], [0], attention.rows[0][:1])
    inputs[name] = np.full_like(inputs[name], values)

    with pytest.raises(Exception, match=r"out of range|is not there"):
        attention.session.run("attended", inputs)


def random_steps(dice: random.Random, longest: int) -> list[list[tuple[int, int]]]:
    """Divide the sequences at random: each step takes some tokens of some of them."""
    left, steps = list(LENGTHS), []
    while any(left):
        takers = [sequence for sequence in range(len(left)) if left[sequence] and dice.random() < 0.7]
        step = [(sequence, min(left[sequence], dice.randint(1, longest))) for sequence in takers]
        for sequence, count in step:
            left[sequence] -= count
        if step:
            steps.append(step)
    return steps


class Attention:
    """One attention, and sequences of random rows for it."""

    def __init__(self, directory: Path, shape: tuple[int, int, int, int], dtype: type) -> None:
        self.heads, self.kv_heads, self.dim, self.window = shape
        dice = np.random.default_rng(20261121)
        width = (self.heads + 2 * self.kv_heads) * self.dim
        self.rows = [dice.standard_normal((length, width)).astype(np.float32) for length in LENGTHS]
        angles = np.outer(np.arange(160), 1e4 ** (-np.arange(self.dim // 2) / (self.dim // 2)))
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self.dtype = dtype
        self.session = self._open(directory, width)
        self._empty()

    def _open(self, directory: Path, width: int) -> Session:
        blocks = [1, "blocks", self.kv_heads]
        with GraphBuilder(directory) as graph:
            rows = graph.input("rows", np.float32, ["tokens", width])
            graph.input("keys", self.dtype, [*blocks, self.dim, BLOCK_ROWS])
            graph.input("values", self.dtype, [*blocks, BLOCK_ROWS, self.dim])
            graph.input("block_tables", np.int32, ["slots", "slot_blocks"])
            for name in ("slots", "positions"):
                graph.input(name, np.int32, ["tokens"])
            for name in ("cos", "sin"):
                graph.input(name, np.float32, ["positions", self.dim // 2])
            attended = graph.add(
                "penstock::PagedAttention",
                rows, "keys", "values", "block_tables", "slots", "positions", "cos", "sin",
                layer=0, num_heads=self.heads, kv_num_heads=self.kv_heads, scale=self.dim**-0.5, window=self.window,
            )  # fmt: skip
            graph.output("attended", attended, np.float32, ["tokens", self.heads * self.dim])
            graph.save()
        return Session(directory / GRAPH_FILE, threads=2)

    def _empty(self) -> None:
        """Fill every block with what is no number: nothing that was not written may be read."""
        self.tables = BlockTables(len(LENGTHS), 160, BLOCK_ROWS)
        shape = (1, self.tables.blocks, self.kv_heads)
        self.keys = np.full((*shape, self.dim, BLOCK_ROWS), np.nan, self.dtype)
        self.values = np.full((*shape, BLOCK_ROWS, self.dim), np.nan, self.dtype)

    def inputs(self, slots: list[int], positions: list[int], rows: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "rows": rows,
            "keys": self.keys,
            "values": self.values,
            "block_tables": self.tables.tables,
            "slots": np.array(slots, np.int32),
            "positions": np.array(positions, np.int32),
            "cos": self.cos,
            "sin": self.sin,
        }

    def compute(self, steps: list[list[tuple[int, int]]]) -> list[np.ndarray]:
        """Give what each sequence's tokens get from steps that take so many tokens of these sequences."""
        self._empty()
        done: list[list[np.ndarray]] = [[] for _ in LENGTHS]
        for step in steps:
            slots, positions, rows = [], [], []
            for sequence, count in step:
                past = sum(map(len, done[sequence]))
                self.tables.write(sequence, past, count)
                slots += [sequence] * count
                positions += range(past, past + count)
                rows.append(self.rows[sequence][past : past + count])
            attended = self.session.run("attended", self.inputs(slots, positions, np.concatenate(rows)))
            for sequence, _ in step:
                done[sequence].append(attended[np.equal(slots, sequence)])
        return [np.concatenate(parts) for parts in done]

    def expected(self) -> list[np.ndarray]:
        return [self._attended(rows.astype(np.float64)) for rows in self.rows]

    def _attended(self, rows: np.ndarray) -> np.ndarray:
        length, group = len(rows), self.heads // self.kv_heads
        heads = rows.reshape(length, -1, self.dim).swapaxes(0, 1)
        queries = self._turned(heads[: self.heads])
        keys = self._turned(heads[self.heads : -self.kv_heads]).repeat(group, axis=0)
        values = heads[-self.kv_heads :].repeat(group, axis=0)
        scores = queries @ keys.swapaxes(1, 2) * self.dim**-0.5
        distance = np.subtract.outer(np.arange(length), np.arange(length))
        scores[:, (distance < 0) | (distance >= (self.window or length))] = -np.inf
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        attended = weights / weights.sum(axis=2, keepdims=True) @ values
        return attended.swapaxes(0, 1).reshape(length, -1)

    def _turned(self, heads: np.ndarray) -> np.ndarray:
        cos, sin = self.cos[: heads.shape[1]], self.sin[: heads.shape[1]]
        first, second = np.split(heads, 2, axis=2)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=2)
