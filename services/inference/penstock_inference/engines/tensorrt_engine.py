"""The TensorRT engine: a step is runs of one compiled network on slots of device memory."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_inference.engines import DecodeRow, EngineLimits, Logits, PrefillChunk, StepBatch
from penstock_inference.engines.batch_check import check_batch
from penstock_inference.engines.setup import EngineSetup, LoadedModel
from penstock_inference.engines.tensorrt.build import DECODE, PREFILL
from penstock_inference.engines.tensorrt.device import Device
from penstock_inference.engines.tensorrt.execution import Execution
from penstock_inference.engines.tensorrt.kv_slots import KvSlots
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.engines.tensorrt.store import MODEL_CONFIG, PLAN, TOKENIZER, StoredEngine, open_store
from penstock_inference.formats import ModelConfig
from penstock_inference.formats.references import fingerprint
from penstock_inference.tokenizer import Tokenizer

_INPUTS: dict[str, np.dtype[Any]] = {
    "ids": np.dtype(np.int32),
    "positions": np.dtype(np.int64),
    "first_rows": np.dtype(np.int32),
    "kv_lengths": np.dtype(np.int32),
    "logit_rows": np.dtype(np.int32),
}
_LOGIT_BYTES = np.dtype(np.float32).itemsize


def load_tensorrt(setup: EngineSetup) -> LoadedModel:
    """Load an engine that was built for the GPU of this machine, and for exactly this model and these limits.

    Raises EngineRefusedError if there is none, or no GPU; EngineBuildError if TensorRT is not installed.
    """
    store = open_store(setup.cache_dir)
    with ExitStack() as on_failure:
        device = Device()
        on_failure.callback(device.close)
        spec = EngineSpec(
            device.target,
            setup.kind,
            setup.slots_max,
            setup.context_tokens_max,
            setup.prefill_chunk_tokens_max,
        )
        stored = store.open(fingerprint(setup.source), spec)
        loaded = _load(stored, device, setup.hold)
        on_failure.pop_all()
    return loaded


def _load(stored: StoredEngine, device: Device, hold: Callable[[int], None]) -> LoadedModel:
    library, spec, report = open_library(), stored.record.spec, stored.record.report
    config = ModelConfig.from_json(stored.text(MODEL_CONFIG))
    hold(report.weights_bytes + sum(report.activation_bytes) + spec.kv_bytes(config))
    plan = np.memmap(stored.directory / PLAN, np.uint8, "r").data
    engine = TensorRtEngine(Execution(library, plan, device), device, config, spec)
    tokenizer = Tokenizer(stored.text(TOKENIZER))
    return LoadedModel(engine, f"{library.name}-cuda", spec.kind, tokenizer, config, stored.id)


class TensorRtEngine:
    """Implement Engine: neighbouring slots are one batch without a copy.

    A step is a run for all its decode rows, then one for each prompt's chunk, which the device does one after the
    other; the host waits once, for the logits.
    """

    def __init__(self, execution: Execution, device: Device, config: ModelConfig, spec: EngineSpec) -> None:
        self._execution = execution
        self._device = device
        self._limits = spec.limits(config)
        self._memory = KvSlots(device, config, spec)
        rows = spec.slots_max + spec.prefill_chunk_tokens_max
        self._logits: Logits = np.empty((rows, config.vocabulary_tokens), np.float32)
        device.pin(self._logits)
        self._logits_address = device.allocate(self._logits.nbytes)
        tokens = max(spec.slots_max, spec.prefill_chunk_tokens_max)
        self._inputs = {name: device.allocate(tokens * dtype.itemsize) for name, dtype in _INPUTS.items()}
        self._bound_slots: dict[int, range] = {}

    @property
    def limits(self) -> EngineLimits:
        """Say what the engine was built for."""
        return self._limits

    def step(self, batch: StepBatch) -> Logits:
        """Run one iteration. Raises ValueError, and changes nothing, for a batch that breaks the contract."""
        check_batch(batch, self._limits, self._memory.written_rows)
        parts: list[DecodeRow | PrefillChunk] = [*batch.decode, *batch.prefills]
        for part in parts:
            if not part.past_tokens:
                self._memory.clear(part.slot)  # of whoever had it before
        if batch.decode:
            self._decode(batch.decode)
        rows = len(batch.decode)
        for chunk in batch.prefills:
            self._prefill(chunk, logits_start=rows)
            rows += chunk.logit_rows
        logits = self._logits[:rows]
        self._device.download(self._logits_address, logits) if rows else self._device.wait()
        return logits

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` KV rows of a slot over those of another."""
        self._memory.copy(source, target, tokens)

    def close(self) -> None:
        """Give back memory; no call may follow."""
        self._execution.close()
        self._device.close()

    def _decode(self, rows: Sequence[DecodeRow]) -> None:
        """Step all slots from the lowest to the highest wanted; an idle one between writes past its end."""
        first, last = min(row.slot for row in rows), max(row.slot for row in rows)
        written = self._memory.written_rows
        ids = np.zeros((last + 1 - first, 1), np.int32)
        first_rows = np.array(written[first : last + 1], np.int32)
        for row in rows:
            ids[row.slot - first] = row.token
            first_rows[row.slot - first] = row.past_tokens
        wanted = np.array([row.slot - first for row in rows], np.int32)
        self._run(DECODE, _Run(range(first, last + 1), ids, first_rows, wanted, logits_start=0))
        for row in rows:
            written[row.slot] = row.past_tokens + 1

    def _prefill(self, chunk: PrefillChunk, logits_start: int) -> None:
        """Feed a chunk. Its last token's logits cost so little that they are computed wanted or not."""
        tokens, logits = len(chunk.tokens), max(chunk.logit_rows, 1)
        ids = np.array([chunk.tokens], np.int32)
        first_rows = np.array([chunk.past_tokens], np.int32)
        wanted = np.arange(tokens - logits, tokens, dtype=np.int32)
        slots = range(chunk.slot, chunk.slot + 1)
        self._run(PREFILL, _Run(slots, ids, first_rows, wanted, logits_start))
        self._memory.written_rows[chunk.slot] = chunk.past_tokens + tokens

    def _run(self, profile: int, run: "_Run") -> None:
        if self._bound_slots.get(profile) != run.slots:
            self._memory.bind(self._execution, profile, run.slots)
            self._bound_slots[profile] = run.slots
        for name, values in run.inputs().items():
            self._device.upload(self._inputs[name], values)
            self._execution.bind(profile, name, self._inputs[name], values.shape)
        row_bytes = self._limits.vocabulary_tokens * _LOGIT_BYTES
        self._execution.bind(profile, "logits", self._logits_address + run.logits_start * row_bytes)
        self._execution.run(profile)


@dataclass(frozen=True, slots=True)
class _Run:
    """Which slots a run steps by which tokens `[slots, tokens]`, and which logits are wanted of it."""

    slots: range
    ids: npt.NDArray[np.int32]
    first_rows: npt.NDArray[np.int32]
    logit_rows: npt.NDArray[np.int32]
    logits_start: int  # the row of the engine's logits that takes its first

    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        tokens = self.ids.shape[1]
        return {
            "ids": self.ids,
            "positions": self.first_rows[:, None] + np.arange(tokens, dtype=np.int64),
            "first_rows": self.first_rows,
            "kv_lengths": self.first_rows + np.int32(tokens),
            "logit_rows": self.logit_rows,
        }
