"""The CPU engine: ONNX Runtime on a step graph of our own."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from penstock_inference.engines import DecodeRow, EngineLimits, Logits, PrefillChunk, StepBatch
from penstock_inference.engines.batch_check import check_adapters, check_batch
from penstock_inference.engines.kv_memory import KvMemory
from penstock_inference.engines.onnx_adapters import OnnxAdapters, StackPart
from penstock_inference.engines.onnx_session import Array, Binding, Session
from penstock_inference.formats import ModelConfig

_BINDINGS_MAX = 128  # one is about 60 KB and takes 1 ms to make


class OnnxEngine:
    """Implement Engine on slots that lie side by side, so that neighbours are one batch without a copy.

    A step is several runs of one graph: the decode rows, then each prompt's chunk. A graph that mixes both
    was measured to be 1 to 8 % faster on such steps, but needs the weights a second time.
    """

    def __init__(
        self, session: Session, config: ModelConfig, limits: EngineLimits, adapters: OnnxAdapters
    ) -> None:
        self._session = session
        self._config = config
        self._limits = limits
        self._memory = KvMemory(config, slots=limits.slots_max, rows=limits.context_tokens_max)
        self._cos, self._sin = config.rotary.tables(rows=self._memory.values.shape[4])
        # Few rows of it are ever touched, and only those take memory.
        logits = (limits.slots_max + limits.prefill_chunk_tokens_max + 1, limits.vocabulary_tokens)
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
        check_batch(batch, self._limits, self._memory.written_rows)
        check_adapters(batch, self.adapters)
        self._take_up_adapters()
        if batch.decode:
            self._decode(batch.decode)
        rows = len(batch.decode)
        for chunk in batch.prefills:
            self._prefill(chunk, logits_start=rows)
            rows += chunk.logit_rows
        return self._logits[:rows]

    def take_memory(self) -> None:
        """Take the memory of all slots, so that no step waits for what is used for the first time."""
        self._memory.take()

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` KV rows of a slot over those of another."""
        self._memory.copy(source, target, tokens)

    def close(self) -> None:
        """Give back memory and threads; no call may follow."""
        self._run.cache_clear()
        del self._run, self._session, self._memory, self._stack, self.adapters

    def _take_up_adapters(self) -> None:
        """Let go of memory of adapters that went, and see those that came."""
        if self._stack is not self.adapters.stack:
            self._stack = self.adapters.stack
            self._run.cache_clear()

    def _decode(self, rows: Sequence[DecodeRow]) -> None:
        """Step all slots from the lowest to the highest wanted; an idle one between writes past its end."""
        first, last = min(row.slot for row in rows), max(row.slot for row in rows)
        part = self._stack_part(row.adapter for row in rows)
        if part and first == last:  # a single row is summed in another order
            first, last = max(first - 1, 0), max(last, min(1, self._limits.slots_max - 1))
        written = self._memory.written_rows
        run = self._run(
            _Shape(first, slots=last + 1 - first, tokens=1, logits_start=0, logits=len(rows)), part
        )
        run.last_rows[:] = written[first : last + 1]
        for index, row in enumerate(rows):
            place = row.slot - first
            run.ids[place] = row.token
            run.last_rows[place] = row.past_tokens
            run.logit_rows[index] = place
        run.adapt({row.slot - first: row.adapter for row in rows})
        run()
        for row in rows:
            written[row.slot] = row.past_tokens + 1

    def _prefill(self, chunk: PrefillChunk, logits_start: int) -> None:
        """Feed a chunk. Its last token's logits cost so little that they are computed wanted or not."""
        tokens, logits = len(chunk.tokens), max(chunk.logit_rows, 1)
        shape = _Shape(chunk.slot, slots=1, tokens=tokens, logits_start=logits_start, logits=logits)
        run = self._run(shape, self._stack_part([chunk.adapter]))
        run.ids[0] = chunk.tokens
        run.last_rows[0] = chunk.past_tokens + tokens - 1
        run.logit_rows[:] = range(tokens - logits, tokens)
        run.adapt({0: chunk.adapter})
        run()
        self._memory.written_rows[chunk.slot] = chunk.past_tokens + tokens

    def _stack_part(self, adapters: Iterable[str | None]) -> StackPart | None:
        """Give the adapters that a run needs, if it needs any."""
        named = {name for name in adapters if name is not None}
        if not named:
            return None
        assert self._stack is not None
        return self._stack.part(*self._stack.span(named))

    def _bind(self, shape: "_Shape", part: StackPart | None) -> "_Run":
        run = _Run(shape, (part.session if part else self._session).bind(), part)
        run.binding.input("cos", self._cos)
        run.binding.input("sin", self._sin)
        run.binding.output("logits", self._logits[shape.logits_start : shape.logits_start + shape.logits])
        for layer in range(self._config.layers):
            for side, name in enumerate(("key", "value")):
                rows = self._memory.values[layer, side, shape.first_slot : shape.first_slot + shape.slots]
                run.binding.input(f"past_{name}_{layer}", rows)
                run.binding.output(f"present_{name}_{layer}", rows)
        return run


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which slots a run steps, by how many tokens each, and which of the engine's rows take its logits."""

    first_slot: int
    slots: int
    tokens: int
    logits_start: int
    logits: int


class _Run:
    """A run of one shape, on arrays to be filled before each call."""

    def __init__(self, shape: _Shape, binding: Binding, part: StackPart | None) -> None:
        assert shape.slots > 0, "a batch of none kills the process"
        assert shape.tokens > 0
        assert shape.tokens == 1 or shape.slots == 1, "only one sequence at a time can take several tokens"
        self.binding = binding
        self.ids = np.zeros((shape.slots, shape.tokens), np.int64)
        self.last_rows = np.zeros(shape.slots, np.int32)
        self.logit_rows = np.zeros(shape.logits, np.int64)
        self._kv_rows = np.zeros((), np.int32)
        for name in ("ids", "last_rows", "logit_rows"):
            binding.input(name, getattr(self, name))
        binding.input("kv_rows", self._kv_rows)
        self._own: dict[str, Array] = {}
        self._part = part
        if part is not None:
            self._bind_adapters(part, shape)

    def adapt(self, adapters: Mapping[int, str | None]) -> None:
        """Say which sequences, by their place, have which adapter."""
        if self._part is None:
            return
        for matrix, own in self._own.items():
            own[:] = False
            for place, name in adapters.items():
                if name is not None:
                    own[place, 0, self._part.own[matrix][name]] = True

    def _bind_adapters(self, part: StackPart, shape: _Shape) -> None:
        for name, array in part.inputs.items():
            self.binding.input(name, array)
        self.binding.input("batch_tokens", np.array([shape.slots, shape.tokens, -1]))
        for matrix, columns in part.columns.items():
            self._own[matrix] = np.zeros((shape.slots, 1, columns), np.bool_)
            self.binding.input(f"own_{matrix}", self._own[matrix])

    def __call__(self) -> None:
        # Were it less, the result would be wrong without an error.
        self._kv_rows[()] = self.last_rows.max() + 1
        self.binding.run()
