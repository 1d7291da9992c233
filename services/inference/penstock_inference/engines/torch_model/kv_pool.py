"""The keys and values of every sequence, in blocks that slots hold by table."""

import math
from collections.abc import Iterable

import numpy as np

from penstock_inference.engines.block_tables import BlockTables, BlockWrite
from penstock_inference.engines.torch_library import Tensor, torch
from penstock_inference.engines.torch_model.target import Target
from penstock_inference.formats import ModelConfig

_CPU_BLOCK_ROWS = 32
_CUDA_BLOCK_ROWS = 256  # what FlashAttention 2 asks for


class KvPool:
    """Blocks `[layers, 2, blocks, block_rows, kv_heads, head_dim]`, keys before values, as long as an engine lives.

    The last block is nobody's: what fills a batch up to a size writes there.
    """

    def __init__(self, config: ModelConfig, target: Target, *, slots: int, rows: int) -> None:
        self.tables = BlockTables(slots, rows, _block_rows(target))
        self._values = _zeros(_shape(config, target, slots, rows), target)

    @staticmethod
    def size_bytes(config: ModelConfig, target: Target, slots: int, rows: int) -> int:
        """Say how much memory all rows take once they are written."""
        return math.prod(_shape(config, target, slots, rows)) * target.dtype.itemsize

    @property
    def spare_block(self) -> int:
        """Name the block that is nobody's."""
        return self.tables.spare_block

    def layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Give a layer's keys and values, each `[blocks, block_rows, kv_heads, head_dim]`."""
        keys, values = self._values[layer]
        return keys, values

    def prepare(self, writes: Iterable[BlockWrite]) -> None:
        """Copy the rows that stay into blocks that are about to be written, and clear the others."""
        for write in writes:
            block = self._values[:, :, write.block]
            if write.source != write.block:
                block[:, :, : write.kept_rows] = self._values[:, :, write.source, : write.kept_rows]
            block[:, :, write.kept_rows :] = 0


def _block_rows(target: Target) -> int:
    return _CUDA_BLOCK_ROWS if target.is_cuda else _CPU_BLOCK_ROWS


def _shape(config: ModelConfig, target: Target, slots: int, rows: int) -> tuple[int, ...]:
    block_rows = _block_rows(target)
    blocks = slots * -(-rows // block_rows) + 1
    return (config.layers, 2, blocks, block_rows, config.kv_heads, config.head_dim)


def _zeros(shape: tuple[int, ...], target: Target) -> Tensor:
    """Give zeros, which on a CPU take memory only once they are written."""
    if target.is_cuda:
        return torch.zeros(shape, dtype=target.dtype, device=target.device)
    raw = np.zeros(math.prod(shape) * target.dtype.itemsize, np.uint8)
    return torch.from_numpy(raw).view(target.dtype).view(shape)
