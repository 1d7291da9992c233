"""Low-rank adapters (LoRA, arXiv 2106.09685) on ONNX Runtime: stacked side by side, for steps that name one.

Such steps run in a second session, whose graph adds what adapters add (conversion/lora_nodes.py); others cost nothing
more.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from penstock_inference.engines.onnx_session import Array, Session
from penstock_inference.formats import Floats, ModelConfig
from penstock_inference.formats.llama_tensors import JOINED, layer_tensors, tensor_shapes
from penstock_inference.formats.lora import LoraPair, LoraWeights, join_pairs

_GROUP_COLUMNS = 16  # as in the graph
_BLOCK_COLUMNS = 128  # the second product is summed in blocks of so many
_PARTS_MAX = 64
_FLOAT_BYTES = 4

Joined = Mapping[tuple[int, str], LoraPair]  # by layer and by the name of the joined matrix


@dataclass(frozen=True, slots=True)
class AdaptableModel:
    """What adapters are added to."""

    config: ModelConfig
    scale: Callable[[LoraWeights], LoraWeights]  # to the model's smoothed activations
    open_session: Callable[[], Session]
    hold: "Hold"


class Hold(Protocol):
    """Hold memory for a model."""

    def __call__(self, *, is_adapted: bool) -> None:
        """Hold what it takes with or without its second session. May raise to refuse it."""


class OnnxAdapters:
    """Implement Adapters. Adding or removing one makes a new stack, which an engine takes up with its next step."""

    def __init__(self, model: AdaptableModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._loaded: dict[str, Joined] = {}
        self._session: Session | None = None
        self.stack: AdapterStack | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._loaded

    def add(self, name: str, weights: LoraWeights, hold: Callable[[int], None]) -> None:
        """Let steps name an adapter. See Adapters."""
        joined = join_pairs(self._model.scale(weights).pairs, self._model.config)
        hold(_size_bytes(joined, self._model.config))
        with self._lock:
            if self._session is None:
                self._model.hold(is_adapted=True)
                self._session = self._model.open_session()
            self._stack({**self._loaded, name: joined})

    def remove(self, name: str) -> None:
        """Free an adapter that no step names any more."""
        with self._lock:
            self._stack({other: joined for other, joined in self._loaded.items() if other != name})
            if not self._loaded:
                self._session = None
                self._model.hold(is_adapted=False)

    def _stack(self, loaded: dict[str, Joined]) -> None:
        assert self._session is not None
        self.stack = AdapterStack(self._session, self._model.config, loaded) if loaded else None
        self._loaded = loaded


@dataclass(frozen=True, eq=False)
class StackPart:
    """Some of the adapters, as inputs of the graph."""

    session: Session
    inputs: Mapping[str, Array]
    own: Mapping[str, Mapping[str, slice]]  # by matrix and adapter: the columns that are its own
    columns: Mapping[str, int]  # by matrix


class AdapterStack:
    """The pairs of all loaded adapters, layer by layer.

    An adapter has a power of two of columns, and begins at a multiple of it: so no block of the sums has another part
    of it when others come or go, and its sequences get the same bits.
    """

    def __init__(self, session: Session, config: ModelConfig, loaded: Mapping[str, Joined]) -> None:
        self._session = session
        self._config = config
        self._order = sorted(loaded)
        self._columns = {matrix: _place(self._order, loaded, matrix) for matrix in JOINED}
        self._pairs = {
            (layer, matrix): self._stacked(layer, matrix, loaded)
            for layer in range(config.layers)
            for matrix in JOINED
        }
        self.part = lru_cache(maxsize=_PARTS_MAX)(self._part)

    def span(self, names: Collection[str]) -> tuple[int, int]:
        """Give the places of the first and the last of some adapters, for `part`."""
        places = [self._order.index(name) for name in names]
        return min(places), max(places)

    def _part(self, first: int, last: int) -> StackPart:
        """Give the adapters from one place to another, without a copy."""
        names = self._order[first : last + 1]
        inputs: dict[str, Array] = {}
        own: dict[str, dict[str, slice]] = {}
        columns = {}
        for matrix in JOINED:
            places = [self._columns[matrix][name] for name in names]
            alignment = min(max(place.stop - place.start for place in places), _BLOCK_COLUMNS)
            start = places[0].start // alignment * alignment
            columns[matrix] = places[-1].stop - start
            own[matrix] = {
                name: slice(place.start - start, place.stop - start)
                for name, place in zip(names, places, strict=True)
            }
            for layer in range(self._config.layers):
                down, up = (rows[start : places[-1].stop] for rows in self._pairs[layer, matrix])
                inputs[f"lora_a_{layer}_{matrix}"] = down.reshape(-1, _GROUP_COLUMNS, down.shape[1])
                inputs[f"lora_b_{layer}_{matrix}"] = up
        return StackPart(self._session, inputs, own, columns)

    def _stacked(self, layer: int, matrix: str, loaded: Mapping[str, Joined]) -> tuple[Floats, Floats]:
        places = self._columns[matrix]
        outputs, inputs = _shape(self._config, matrix)
        count = max(place.stop for place in places.values())
        down, up = np.zeros((count, inputs), np.float32), np.zeros((count, outputs), np.float32)
        for name, joined in loaded.items():
            if pair := joined.get((layer, matrix)):
                rows = slice(places[name].start, places[name].start + len(pair.down))
                down[rows], up[rows] = pair.down, pair.up.T
        return down, up


def _place(order: Collection[str], loaded: Mapping[str, Joined], matrix: str) -> dict[str, slice]:
    """Give each adapter columns, one after the other."""
    places, end = {}, 0
    for name in order:
        width = _width(loaded[name], matrix)
        start = -(-end // width) * width
        end = start + width
        places[name] = slice(start, end)
    return places


def _width(joined: Joined, matrix: str) -> int:
    """Say how many columns an adapter takes: one that leaves a matrix as it is has a group of zeros."""
    ranks = [len(pair.down) for (_, name), pair in joined.items() if name == matrix]
    return max(_GROUP_COLUMNS, 1 << (max(ranks, default=1) - 1).bit_length())


def _size_bytes(joined: Joined, config: ModelConfig) -> int:
    values = sum(_width(joined, matrix) * sum(_shape(config, matrix)) for matrix in JOINED)
    return values * config.layers * _FLOAT_BYTES


def _shape(config: ModelConfig, matrix: str) -> tuple[int, int]:
    """Give how many outputs and inputs a joined matrix has in each layer."""
    shapes, names = tensor_shapes(config), layer_tensors(0)
    rows = [shapes[names[part]] for part in JOINED[matrix]]
    return sum(outputs for outputs, _ in rows), rows[0][1]
