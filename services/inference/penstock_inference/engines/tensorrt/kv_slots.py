"""The keys and values of every sequence in a GPU's memory, one slot each."""

from penstock_inference.engines.tensorrt.device import Block, Device
from penstock_inference.engines.tensorrt.execution import Execution
from penstock_inference.engines.tensorrt.spec import KV_VALUE_BYTES, EngineSpec
from penstock_inference.formats import ModelConfig


class KvSlots:
    """Keys and values `[layers, 2, slots, kv_heads, kv_rows, head_dim]`, in place for the engine's whole life.

    Each sequence begins on zeros: attention multiplies rows behind its last by nothing, which a NaN would survive.
    """

    def __init__(self, device: Device, config: ModelConfig, spec: EngineSpec) -> None:
        self._device = device
        self._layers = config.layers
        self._slots = spec.slots_max
        self._slot_shape = (config.kv_heads, spec.kv_rows, config.head_dim)
        self._row_bytes = config.head_dim * KV_VALUE_BYTES
        self._head_bytes = spec.kv_rows * self._row_bytes
        self._slot_bytes = config.kv_heads * self._head_bytes
        self._address = device.allocate(spec.kv_bytes(config))
        self.written_rows = [0] * spec.slots_max  # rows of each slot that hold a token's keys and values

    def bind(self, execution: Execution, profile: int, slots: range) -> None:
        """Let runs read and write these slots."""
        shape = (len(slots), *self._slot_shape)
        for layer in range(self._layers):
            for part, name in enumerate(("key", "value")):
                address = self._address_of(layer, part, slots.start)
                execution.bind(profile, f"past_{name}_{layer}", address, shape)
                execution.bind(profile, f"present_{name}_{layer}", address)

    def clear(self, slot: int) -> None:
        """Forget what a slot holds."""
        if self.written_rows[slot]:
            for layer in range(self._layers):
                for part in range(2):
                    self._device.clear(self._address_of(layer, part, slot), self._slot_bytes)
        self.written_rows[slot] = 0

    def copy(self, source: int, target: int, rows: int) -> None:
        """Copy a slot's first rows over another's, which holds nothing else then."""
        if not 0 <= rows <= self.written_rows[source]:
            raise ValueError(f"slot {source} holds {self.written_rows[source]} rows, not {rows}")
        if source != target:
            self.clear(target)
        if rows:
            for layer in range(self._layers):
                for part in range(2):
                    self._copy_part(layer, part, source, target, rows)
        self.written_rows[target] = rows

    def _copy_part(self, layer: int, part: int, source: int, target: int, rows: int) -> None:
        heads = self._slot_shape[0]
        block = Block(self._address_of(layer, part, source), rows * self._row_bytes, heads, self._head_bytes)
        self._device.copy(block, self._address_of(layer, part, target))

    def _address_of(self, layer: int, part: int, slot: int) -> int:
        return self._address + ((layer * 2 + part) * self._slots + slot) * self._slot_bytes
