"""Blocks that slots share until one of them writes: what a slot reads is what it wrote, whatever the others do."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from penstock_inference.engines.block_tables import BlockTables, BlockWrite

SLOTS, ROWS, BLOCK_ROWS = 3, 11, 4
slots = st.integers(0, SLOTS - 1)


class Memory(RuleBasedStateMachine):
    """Does what tables say to an array, and beside it keeps each slot's rows in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = BlockTables(SLOTS, ROWS, BLOCK_ROWS)
        self.memory = np.zeros((self.tables.blocks, BLOCK_ROWS), int)
        self.expected: list[list[int]] = [[] for _ in range(SLOTS)]
        self.written = 0

    @rule(slot=slots, past_share=st.floats(0, 1), rows=st.integers(1, ROWS))
    def write(self, slot: int, past_share: float, rows: int) -> None:
        past = min(round(past_share * len(self.expected[slot])), ROWS - 1)
        rows = min(rows, ROWS - past)
        for write in self.tables.write(slot, past, rows):
            self.memory[write.block, : write.kept_rows] = self.memory[write.source, : write.kept_rows]
            self.memory[write.block, write.kept_rows :] = 0
        del self.expected[slot][past:]
        for row in range(past, past + rows):
            self.written += 1
            self.memory.ravel()[self.tables.place(slot, row)] = self.written
            self.expected[slot].append(self.written)
        behind = self.memory[self.tables.held(slot)].ravel()[past + rows :]
        assert not behind.any()

    @rule(source=slots, taker=slots, share=st.floats(0, 1))
    def share(self, source: int, taker: int, share: float) -> None:
        rows = round(share * len(self.expected[source]))
        self.tables.share(source, taker, rows)
        self.expected[taker] = self.expected[source][:rows]

    @invariant()
    def slots_read_what_they_wrote(self) -> None:
        for slot, expected in enumerate(self.expected):
            read = [int(self.memory.ravel()[self.tables.place(slot, row)]) for row in range(len(expected))]
            assert read == expected
        self.tables.check_integrity()


TestMemory = Memory.TestCase


def test_a_shared_block_is_copied_when_one_of_its_slots_writes_and_only_then() -> None:
    tables = BlockTables(2, 8, 4)
    tables.write(0, 0, 6)
    tables.share(0, 1, 6)
    assert tables.held(0) == tables.held(1)

    writes = tables.write(1, 6, 1)

    first, second = tables.held(0)
    assert tables.held(1)[0] == first
    assert writes == [BlockWrite(tables.held(1)[1], source=second, kept_rows=2)]
    assert tables.write(0, 6, 1) == []


def test_a_block_is_cleared_before_it_is_used_again() -> None:
    tables = BlockTables(1, 8, 4)
    (first,) = tables.write(0, 0, 4)
    assert tables.write(0, 2, 1) == [BlockWrite(first.block, first.block, kept_rows=2)]
    assert [write.kept_rows for write in tables.write(0, 0, 8)] == [0, 0]


def test_more_rows_than_a_slot_holds_cannot_be_shared() -> None:
    tables = BlockTables(2, 8, 4)
    tables.write(0, 0, 3)
    with pytest.raises(ValueError, match="slot 0 holds 3 rows, not 4"):
        tables.share(0, 1, 4)
