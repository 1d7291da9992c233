"""Decode steps as CUDA graphs: one launch a step instead of several a layer."""

from dataclasses import dataclass
from typing import Any

from penstock_inference.engines import EngineLimits
from penstock_inference.engines.torch_library import Tensor, torch
from penstock_inference.engines.torch_model.decoder import Decoder
from penstock_inference.engines.torch_model.kv_pool import KvPool
from penstock_inference.engines.torch_model.step import Step
from penstock_inference.engines.torch_model.target import Target

_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class Frame:
    """A step of fixed size at a fixed place in memory, which steps of at most that size are laid into.

    What is left of it writes to the pool's spare block and reads nothing else.
    """

    step: Step
    pool: KvPool

    @classmethod
    def make(cls, size: int, rows_max: int, pool: KvPool, device: torch.device) -> "Frame":
        """Make an empty frame for so many sequences of so many rows at most."""
        counts = torch.arange(size + 1, dtype=torch.int32, device=device)
        numbers = torch.zeros((3, size), dtype=torch.int64, device=device)
        step = Step(
            tokens=numbers[0],
            positions=numbers[1],
            kv_rows=numbers[2],
            starts=counts,
            lengths=torch.empty_like(counts[1:]),
            tables=torch.empty((size, pool.tables.tables.shape[1]), dtype=torch.int32, device=device),
            logit_tokens=counts[:-1].long(),
            singles=size,
            tokens_max=1,
            rows_max=rows_max,
        )
        frame = cls(step, pool)
        frame.clear(0)
        return frame

    def lay(self, step: Step) -> None:
        """Take over a step in which each sequence has one token."""
        count = step.singles
        for name in ("tokens", "positions", "kv_rows", "lengths"):
            getattr(self.step, name)[:count] = getattr(step, name)
        self.step.tables[:count, : step.tables.shape[1]] = step.tables
        self.clear(count)

    def clear(self, count: int) -> None:
        """Empty all but the first sequences."""
        self.step.tokens[count:] = self.step.positions[count:] = 0
        self.step.kv_rows[count:] = self.pool.spare_block * self.pool.tables.block_rows
        self.step.lengths[count:] = 1
        self.step.tables[count:] = self.pool.spare_block


class DecodeGraphs:
    """Capture a graph when a size of batch first occurs, and replay it from then on; compute others as they are."""

    def __init__(self, decoder: Decoder, pool: KvPool, target: Target, limits: EngineLimits) -> None:
        self._decoder = decoder
        self._pool = pool
        self._target = target
        self._rows = limits.context_tokens_max
        self._sizes = [*(size for size in _SIZES if size < limits.slots_max), limits.slots_max]
        self._captured: dict[int, tuple[Frame, Any, Tensor]] = {}

    def __call__(self, step: Step) -> Tensor:
        """Compute a step. See Decoder."""
        if step.adapted or step.singles < len(step.lengths):
            return self._decoder(step)
        size = next(size for size in self._sizes if size >= step.singles)
        if size not in self._captured:
            self._captured[size] = self._capture(size)
        frame, graph, logits = self._captured[size]
        frame.lay(step)
        graph.replay()
        return logits[: step.singles]

    def _capture(self, size: int) -> tuple[Frame, Any, Tensor]:
        frame = Frame.make(size, self._rows, self._pool, self._target.device)
        self._decoder(frame.step)  # so that kernels are loaded before the capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # adapters are loaded meanwhile
            logits = self._decoder(frame.step)
        return frame, graph, logits
