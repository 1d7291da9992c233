"""Which blocks of KV memory the rows of each slot are in (PagedAttention, SOSP 2023)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class BlockWrite:
    """A block that is about to be written: which rows of it stay, and whence they come. The others are to be zero."""

    block: int
    source: int  # the block itself, if its rows are in place
    kept_rows: int


class BlockTables:
    """Give blocks to slots as they grow. Slots share blocks until one of them writes there.

    There are as many blocks as all slots can hold, so one is always free for who needs it. Rows behind the last of a
    block's writer are zero, and where a table ends it names a block that is nobody's: masked or not, they take part in
    matrix products, where others' nonsense would spread.
    """

    def __init__(self, slots: int, rows: int, block_rows: int) -> None:
        """Make tables for slots of so many rows each."""
        self.block_rows = block_rows
        per_slot = -(-rows // block_rows)
        self.blocks = slots * per_slot
        self.tables: npt.NDArray[np.int32] = np.full((slots, per_slot), self.spare_block, np.int32)
        self.written_rows = [0] * slots
        self._holders = [0] * self.blocks
        self._filled_rows = [0] * self.blocks
        self._free = list(range(self.blocks))

    @property
    def spare_block(self) -> int:
        """Name the block that is nobody's, behind all others."""
        return self.blocks

    def held(self, slot: int) -> list[int]:
        """Give the blocks of a slot, in order."""
        blocks: list[int] = self.tables[slot, : self._count(self.written_rows[slot])].tolist()
        return blocks

    def write(self, slot: int, past_rows: int, rows: int) -> list[BlockWrite]:
        """Keep the first rows of a slot, forget the others, and make place for new ones behind."""
        first, kept_rows = divmod(past_rows, self.block_rows)
        if self._has_place(slot, past_rows, rows):
            self._filled_rows[self.tables[slot, first]] += rows
            self.written_rows[slot] += rows
            return []
        held = self.held(slot)
        writes = []
        blocks = held[:first]
        if kept_rows:
            block = held[first] if self._holders[held[first]] == 1 else self._take()
            if block != held[first] or self._filled_rows[block] > kept_rows:
                writes.append(BlockWrite(block, held[first], kept_rows))
            blocks.append(block)
        self._let_go([block for block in held[first:] if block not in blocks])
        while len(blocks) < self._count(past_rows + rows):
            blocks.append(self._take())
            writes.append(BlockWrite(blocks[-1], blocks[-1], kept_rows=0))
        for place in range(first, len(blocks)):
            self._filled_rows[blocks[place]] = past_rows + rows - place * self.block_rows
        self._hold(slot, blocks, past_rows + rows)
        return writes

    def share(self, source: int, target: int, rows: int) -> None:
        """Let a slot begin with the first rows of another, and hold nothing else.

        Raises ValueError if the source holds fewer.
        """
        if not 0 <= rows <= self.written_rows[source]:
            raise ValueError(f"slot {source} holds {self.written_rows[source]} rows, not {rows}")
        shared = self.held(source)[: self._count(rows)]
        for block in shared:
            self._holders[block] += 1
        self._let_go(self.held(target))
        self._hold(target, shared, rows)

    def place(self, slot: int, row: int) -> int:
        """Say which row of all blocks, one behind the other, a slot's row is."""
        return int(self.tables[slot, row // self.block_rows]) * self.block_rows + row % self.block_rows

    def check_integrity(self) -> None:
        """Assert that every block is either free or held by as many slots as it is counted for."""
        held = [block for slot in range(len(self.tables)) for block in self.held(slot)]
        assert self._holders == [held.count(block) for block in range(self.blocks)]
        assert sorted([*self._free, *set(held)]) == list(range(self.blocks))

    def _has_place(self, slot: int, past_rows: int, rows: int) -> bool:
        """Tell whether rows simply go on in a block that is the slot's alone, as those of most steps do."""
        if (
            past_rows != self.written_rows[slot]
            or not 0 < past_rows % self.block_rows <= self.block_rows - rows
        ):
            return False
        block = self.tables[slot, past_rows // self.block_rows]
        return (self._holders[block], self._filled_rows[block]) == (1, past_rows % self.block_rows)

    def _take(self) -> int:
        block = self._free.pop()
        self._holders[block] = 1
        return block

    def _let_go(self, blocks: list[int]) -> None:
        for block in blocks:
            self._holders[block] -= 1
            if not self._holders[block]:
                self._free.append(block)

    def _hold(self, slot: int, blocks: list[int], rows: int) -> None:
        self.tables[slot, : len(blocks)] = blocks
        self.tables[slot, len(blocks) :] = self.spare_block
        self.written_rows[slot] = rows

    def _count(self, rows: int) -> int:
        return -(-rows // self.block_rows)
