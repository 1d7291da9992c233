"""The CPU engine: ONNX Runtime on a step graph of our own."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from penstock_inference.engines import EngineLimits, Logits, StepBatch
from penstock_inference.engines.batch_check import check_adapters, check_batch
from penstock_inference.engines.kv_blocks import KvBlocks
from penstock_inference.engines.onnx_adapters import OnnxAdapters, StackPart
from penstock_inference.engines.onnx_session import Array, Binding, Session
from penstock_inference.formats import ModelConfig

_BINDINGS_MAX = 512  # one is about 20 KB


class OnnxEngine:
    """Implement Engine on paged keys and values: slots that begin alike share blocks until they part.

    A step is one run of the graph: all decode rows and all tokens of chunks are rows of the same products. On the 8-bit
    and 4-bit kinds a row gets the same bits whatever else is in the step, and however its sequence was cut.
    """

    def __init__(
        self, session: Session, config: ModelConfig, limits: EngineLimits, adapters: OnnxAdapters
    ) -> None:
        self._session = session
        self._limits = limits
        slots, rows = limits.slots_max, limits.context_tokens_max
        self._blocks = KvBlocks(config, session.dtype("keys"), slots=slots, rows=rows)
        self._cos, self._sin = config.rotary.tables(rows)
        # Few rows of it are ever touched, and only those take memory.
        logits = (limits.slots_max + limits.prefill_chunk_tokens_max, limits.vocabulary_tokens)
        self._logits: Logits = np.empty(logits, np.float32)
        self.adapters = adapters
        self._stack = adapters.stack
        self._run = functools.lru_cache(maxsize=_BINDINGS_MAX)(self._bind)

    @property
    def limits(self) -> EngineLimits:
        """Say what the engine was built for."""
        return self._limits

    def step(self, batch: StepBatch) -> Logits:
        """Run one iteration. Raises ValueError, and changes nothing, for a batch that breaks the contract."""
        check_batch(batch, self._limits, self._blocks.tables.written_rows)
        check_adapters(batch, self.adapters)
        self._take_up_adapters()
        rows = _Rows()
        for part in batch.parts:
            tokens = part.tokens
            self._blocks.write(part.slot, part.past_tokens, len(tokens))
            rows.add(part.slot, tokens, part.past_tokens, part.adapter, logits=part.logit_rows)
        self._compute(rows)
        return self._logits[: len(rows.logit_rows)]

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Let a slot share the first `tokens` KV rows of another: nothing is copied until one of them writes."""
        self._blocks.tables.share(source, target, tokens)

    def close(self) -> None:
        """Give back memory and threads; no call may follow."""
        self._run.cache_clear()
        del self._run, self._session, self._blocks, self._stack, self.adapters

    def _take_up_adapters(self) -> None:
        """Let go of memory of adapters that went, and see those that came."""
        if self._stack is not self.adapters.stack:
            self._stack = self.adapters.stack
            self._run.cache_clear()

    def _compute(self, rows: "_Rows") -> None:
        part = self._stack_part(rows.adapters)
        if part and len(rows.ids) == 1:  # a single row is summed in another order
            rows.repeat()
        # One row of logits costs so little that it is computed wanted or not: a batch of none kills the process.
        run = self._run(len(rows.ids), max(len(rows.logit_rows), 1), part)
        run.fill(rows)
        run()

    def _stack_part(self, adapters: Iterable[str | None]) -> StackPart | None:
        """Give the adapters that a run needs, if it needs any."""
        named = {name for name in adapters if name is not None}
        if not named:
            return None
        assert self._stack is not None
        return self._stack.part(*self._stack.span(named))

    def _bind(self, rows: int, logits: int, part: StackPart | None) -> "_Run":
        run = _Run((part.session if part else self._session).bind(), rows, logits, part)
        blocks = self._blocks
        shared = {"keys": blocks.keys, "values": blocks.values, "block_tables": blocks.tables.tables}
        for name, array in (shared | {"cos": self._cos, "sin": self._sin}).items():
            run.binding.input(name, array)
        run.binding.output("logits", self._logits[:logits])
        return run


class _Rows:
    """The tokens of a step, one after the other."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.slots: list[int] = []
        self.positions: list[int] = []
        self.adapters: list[str | None] = []
        self.logit_rows: list[int] = []

    def add(
        self, slot: int, tokens: Sequence[int], past_tokens: int, adapter: str | None, *, logits: int
    ) -> None:
        """Add tokens of a sequence; the logits behind the last ones are wanted."""
        self.ids.extend(tokens)
        self.slots.extend([slot] * len(tokens))
        self.positions.extend(range(past_tokens, past_tokens + len(tokens)))
        self.adapters.extend([adapter] * len(tokens))
        self.logit_rows.extend(range(len(self.ids) - logits, len(self.ids)))

    def repeat(self) -> None:
        """Compute the last token twice."""
        for column in (self.ids, self.slots, self.positions):
            column.append(column[-1])
        self.adapters.append(self.adapters[-1])


class _Run:
    """A run of so many rows and logits, on arrays to be filled before each call."""

    def __init__(self, binding: Binding, rows: int, logits: int, part: StackPart | None) -> None:
        assert rows > 0
        assert logits > 0
        self.binding = binding
        self.ids = np.zeros((rows, 1), np.int64)
        self.slots = np.zeros(rows, np.int32)
        self.positions = np.zeros(rows, np.int32)
        self.logit_rows = np.zeros(logits, np.int64)
        for name in ("ids", "slots", "positions", "logit_rows"):
            binding.input(name, getattr(self, name))
        self._own: dict[str, Array] = {}
        self._part = part
        if part is not None:
            self._bind_adapters(part, rows)

    def fill(self, rows: _Rows) -> None:
        """Say what the next call computes."""
        self.ids[:, 0] = rows.ids
        self.slots[:] = rows.slots
        self.positions[:] = rows.positions
        self.logit_rows[:] = rows.logit_rows or [0]
        if self._part is not None:
            self._adapt(self._part, rows.adapters)

    def _adapt(self, part: StackPart, adapters: Sequence[str | None]) -> None:
        for matrix, own in self._own.items():
            own[:] = False
            for row, name in enumerate(adapters):
                if name is not None:
                    own[row, 0, part.own[matrix][name]] = True

    def _bind_adapters(self, part: StackPart, rows: int) -> None:
        for name, array in part.inputs.items():
            self.binding.input(name, array)
        for matrix, columns in part.columns.items():
            self._own[matrix] = np.zeros((rows, 1, columns), np.bool_)
            self.binding.input(f"own_{matrix}", self._own[matrix])

    def __call__(self) -> None:
        self.binding.run()
