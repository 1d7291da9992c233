"""Read low-rank adapters (LoRA, arXiv 2106.09685) in the layout that PEFT writes."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock_inference.formats import Floats, ModelConfig, UnsupportedModelError
from penstock_inference.formats.fields import Fields, read_fields
from penstock_inference.formats.llama_tensors import JOINED, LINEARS, layer_tensors, tensor_shapes
from penstock_inference.formats.safetensors import SafetensorsFile

RANK_MAX = 256


@dataclass(frozen=True, slots=True)
class LoraPair:
    """What is added to a matrix: `up` times `down`."""

    down: Floats  # [rank, inputs]
    up: Floats  # [outputs, rank], scaled


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """An adapter: its pairs by layer and part ("query"), and a digest of its files."""

    pairs: "Pairs"
    fingerprint: str


Pairs = Mapping[tuple[int, str], LoraPair]  # by layer and by what they are added to


def read_lora(directory: Path, config: ModelConfig) -> LoraWeights:
    """Read adapter_config.json and adapter_model.safetensors, for a decoder of this shape.

    Raises UnsupportedModelError for one that is damaged, is for another model, or is more than a LoRA of linear parts.
    """
    if not directory.is_dir():
        raise UnsupportedModelError(f"there is no adapter at {directory}")
    settings = read_fields(directory / "adapter_config.json")
    _refuse_unsupported(settings)
    path = directory / "adapter_model.safetensors"
    if not path.exists():
        raise UnsupportedModelError(f"{path} is missing")
    reader = _Reader(path, config, settings)
    return LoraWeights(reader.pairs(), _digest(settings.source, path))


def join_pairs(pairs: Pairs, config: ModelConfig) -> dict[tuple[int, str], LoraPair]:
    """Make one pair of those whose matrices are joined, by layer and by the name of the joined matrix."""
    joined = {}
    shapes = tensor_shapes(config)
    for layer in range(config.layers):
        names = layer_tensors(layer)
        for matrix, parts in JOINED.items():
            found = [pairs.get((layer, part)) for part in parts]
            if any(found):
                joined[layer, matrix] = _join(found, [shapes[names[part]][0] for part in parts])
    return joined


def _join(pairs: Sequence[LoraPair | None], rows: Sequence[int]) -> LoraPair:
    """Let each pair add to its own rows of the product."""
    down = np.concatenate([pair.down for pair in pairs if pair is not None])
    up = np.zeros((sum(rows), len(down)), np.float32)
    row = column = 0
    for pair, count in zip(pairs, rows, strict=True):
        if pair is not None:
            rank = len(pair.down)
            up[row : row + count, column : column + rank] = pair.up
            column += rank
        row += count
    return LoraPair(down, up)


def _refuse_unsupported(settings: Fields) -> None:
    kind = settings.text("peft_type")
    reasons = {
        f"adapter type {kind!r}": kind != "LORA",
        "DoRA": settings.get("use_dora"),
        "a bias": settings.text("bias", "none") != "none" or settings.get("lora_bias"),
        "a transposed matrix": settings.get("fan_in_fan_out"),
        "a scale of its own for some modules": settings.get("alpha_pattern") or settings.get("rank_pattern"),
        "a whole module beside the adapter": settings.get("modules_to_save"),
    }
    for reason, is_present in reasons.items():
        if is_present:
            raise UnsupportedModelError(f"{settings.source}: {reason} is not supported")


class _Reader:
    """Takes pairs out of a file until none is left."""

    def __init__(self, path: Path, config: ModelConfig, settings: Fields) -> None:
        self._path = path
        self._config = config
        self._file = SafetensorsFile(path)
        self._left = self._file.shapes()
        self._rank = settings.integer("r")
        if not 1 <= self._rank <= RANK_MAX:
            raise UnsupportedModelError(f"{settings.source}: rank {self._rank} is not 1 to {RANK_MAX}")
        root = math.sqrt(self._rank) if settings.get("use_rslora") else self._rank
        self._scale = settings.number("lora_alpha") / root

    def pairs(self) -> dict[tuple[int, str], LoraPair]:
        pairs = {}
        shapes = tensor_shapes(self._config)
        for layer in range(self._config.layers):
            names = layer_tensors(layer)
            for part in LINEARS:
                name = f"base_model.model.{names[part].removesuffix('.weight')}"
                if any(f"{name}.lora_{side}.weight" in self._left for side in "AB"):
                    pairs[layer, part] = self._pair(name, *shapes[names[part]])
        if self._left or not pairs:
            unknown = ", ".join(sorted(self._left)[:4]) or "nothing at all"
            raise UnsupportedModelError(f"{self._path} adapts what this model does not have: {unknown}")
        return pairs

    def _pair(self, name: str, outputs: int, inputs: int) -> LoraPair:
        down = self._tensor(f"{name}.lora_A.weight", (self._rank, inputs))
        up = self._tensor(f"{name}.lora_B.weight", (outputs, self._rank))
        return LoraPair(down, up * np.float32(self._scale))

    def _tensor(self, name: str, wanted: tuple[int, int]) -> Floats:
        shape = self._left.pop(name, None)
        if shape != wanted:
            raise UnsupportedModelError(f"{self._path}: {name} has the shape {shape}, not {wanted}")
        values = self._file.tensor(name)
        if not np.isfinite(values).all():
            raise UnsupportedModelError(f"{self._path}: {name} holds what is no finite number")
        return values


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
