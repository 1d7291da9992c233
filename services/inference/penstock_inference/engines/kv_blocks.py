"""The keys and values of every sequence, in blocks that slots hold by table."""

import math
import mmap

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.block_tables import BlockTables
from penstock_inference.formats import ModelConfig

BLOCK_ROWS = 16  # of the operator that reads them (native/attention.hpp)

Stored = npt.NDArray[np.float16] | npt.NDArray[np.float32]


def kv_dtype(kind: str) -> npt.DTypeLike:
    """Say in what numbers a kind of model keeps keys and values."""
    return np.float32 if kind == "fp32" else np.float16


class KvBlocks:
    """Keys `[layers, blocks, kv_heads, head_dim, 16]` and values `[layers, blocks, kv_heads, 16, head_dim]`.

    It is anonymous memory in small pages, so blocks that no sequence has reached yet cost nothing; blocks once written
    stay resident, and are the first to be used again.
    """

    def __init__(self, config: ModelConfig, dtype: npt.DTypeLike, *, slots: int, rows: int) -> None:
        self.tables = BlockTables(slots, rows, BLOCK_ROWS)
        shape = (config.layers, self.tables.blocks, config.kv_heads)
        self.keys = _anonymous((*shape, config.head_dim, BLOCK_ROWS), dtype)
        self.values = _anonymous((*shape, BLOCK_ROWS, config.head_dim), dtype)

    @staticmethod
    def size_bytes(config: ModelConfig, dtype: npt.DTypeLike, *, slots: int, rows: int) -> int:
        """Say how much memory all rows take once they are written."""
        blocks = slots * -(-rows // BLOCK_ROWS)
        values = 2 * config.layers * blocks * config.kv_heads * BLOCK_ROWS * config.head_dim
        return values * np.dtype(dtype).itemsize

    def write(self, slot: int, past_rows: int, rows: int) -> None:
        """Make place for rows behind the first ones of a slot. A block that others share, too, is copied."""
        for write in self.tables.write(slot, past_rows, rows):
            if write.source != write.block:
                for part in (self.keys, self.values):
                    part[:, write.block] = part[:, write.source]


def _anonymous(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Stored:
    memory = mmap.mmap(
        -1, math.prod(shape) * np.dtype(dtype).itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # only Linux has such pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)
