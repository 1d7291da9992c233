"""Low-rank adapters (LoRA, arXiv 2106.09685) on the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock_inference.engines.torch_library import Tensor, functional, torch
from penstock_inference.engines.torch_model.target import Target
from penstock_inference.formats import Floats, ModelConfig
from penstock_inference.formats.lora import LoraPair, LoraWeights, join_pairs


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to a product: the input times `down` transposed, times `up` transposed."""

    down: Tensor  # [rank, inputs]
    up: Tensor  # [outputs, rank], scaled

    def __call__(self, values: Tensor) -> Tensor:
        """Give what is added for these inputs `[tokens, inputs]`."""
        return functional.linear(functional.linear(values, self.down), self.up)


Adapter = Mapping[tuple[int, str], LowRank]  # by layer and by the name of the joined matrix


class TorchAdapters:
    """Implement Adapters for a decoder on a device."""

    def __init__(self, config: ModelConfig, target: Target) -> None:
        self._config = config
        self._target = target
        self._loaded: dict[str, Adapter] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._loaded

    def __getitem__(self, name: str) -> Adapter:
        return self._loaded[name]

    def add(self, name: str, weights: LoraWeights, hold: Callable[[int], None]) -> None:
        """Let steps name an adapter. See Adapters."""
        joined = join_pairs(weights.pairs, self._config)
        values = sum(pair.down.size + pair.up.size for pair in joined.values())
        hold(values * self._target.dtype.itemsize)
        self._loaded[name] = {place: self._low_rank(pair) for place, pair in joined.items()}

    def remove(self, name: str) -> None:
        """Free an adapter that no step names any more."""
        del self._loaded[name]

    def _low_rank(self, pair: LoraPair) -> LowRank:
        return LowRank(self._to_target(pair.down), self._to_target(pair.up))

    def _to_target(self, values: Floats) -> Tensor:
        return torch.from_numpy(values).to(self._target.device, self._target.dtype)
