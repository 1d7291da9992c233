"""A low-rank adapter (LoRA, arXiv 2106.09685) on the device."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_inference.engines.torch_library import Tensor, functional


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to a product: the input times `down` transposed, times `up` transposed."""

    down: Tensor  # [rank, inputs]
    up: Tensor  # [outputs, rank], scaled

    def __call__(self, values: Tensor) -> Tensor:
        """Give what is added for these inputs `[tokens, inputs]`."""
        return functional.linear(functional.linear(values, self.down), self.up)


@dataclass(frozen=True, slots=True)
class Adapter:
    """The parts of one adapter, by layer and by the name of the joined matrix."""

    parts: Mapping[tuple[int, str], LowRank]

    def get(self, layer: int, name: str) -> LowRank | None:
        """Give what is added to a matrix of a layer, if anything is."""
        return self.parts.get((layer, name))
