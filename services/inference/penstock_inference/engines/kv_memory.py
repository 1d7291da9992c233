"""The keys and values of every sequence, one slot each."""

import mmap

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import ModelConfig

_SPARE_ROWS = 1  # a step writes a row past the end of each idle slot among those it runs, full ones too


class KvMemory:
    """Float32 rows, in place for the whole life of an engine.

    It is anonymous memory in small pages, so rows that no sequence has reached yet cost nothing; rows once
    written stay resident. Huge pages were measured to be no faster and to hold whole slots at once.
    """

    def __init__(self, config: ModelConfig, *, slots: int, rows: int) -> None:
        shape = _shape(config, slots, rows)
        size_bytes = self.size_bytes(config, slots, rows)
        memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):  # only Linux has such pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        self._memory = memory
        self.values: npt.NDArray[np.float32] = np.frombuffer(memory, np.float32).reshape(shape)
        self.written_rows = [0] * slots  # rows of each slot that hold a token's keys and values

    @staticmethod
    def size_bytes(config: ModelConfig, slots: int, rows: int) -> int:
        """Say how much memory all rows take once they are written."""
        return int(np.prod(_shape(config, slots, rows), dtype=np.int64)) * np.dtype(np.float32).itemsize

    def take(self) -> None:
        """Take all memory now, where no sequence waits for it. What is in it stays as it is."""
        pages = np.frombuffer(self._memory, np.uint8)[:: mmap.PAGESIZE]
        pages |= 0  # writes: the kernel gives a page to who does

    def copy(self, source: int, target: int, rows: int) -> None:
        """Copy a slot's first rows over another's."""
        if not 0 <= rows <= self.written_rows[source]:
            raise ValueError(f"slot {source} holds {self.written_rows[source]} rows, not {rows}")
        self.values[:, :, target, :, :rows] = self.values[:, :, source, :, :rows]
        self.written_rows[target] = rows


def _shape(config: ModelConfig, slots: int, rows: int) -> tuple[int, ...]:
    return (config.layers, 2, slots, config.kv_heads, rows + _SPARE_ROWS, config.head_dim)
