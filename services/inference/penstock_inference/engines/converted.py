"""Models as the engine loads them: in the build cache, or in a directory that `penstock model convert` wrote."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from penstock_inference.engines.build_cache import MANIFEST, BuildCache, build_entry, is_intact
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.llama_tensors import layer_tensors
from penstock_inference.formats.lora import LoraPair, LoraWeights
from penstock_inference.formats.references import fingerprint

_RECORD = "prepared.json"  # says what a directory that an operator asked for holds
_GRAPH_VERSION = 3  # of the inputs that a decoder's graph takes


class ConvertedModel:
    """A directory with a graph, its weights, a tokenizer and a configuration."""

    def __init__(self, directory: Path, identity: str) -> None:
        self.directory = directory
        self.fingerprint = identity  # equal only where files, number format and converter are

    @classmethod
    def open(cls, source: Path, role: str, kind: str, cache_dir: Path) -> Self:
        """Open a prepared directory, or a model in the cache, which is converted first if it is not there.

        Raises UnsupportedModelError for a model that cannot be converted or was damaged since, ValueError for a
        prepared one of another kind.
        """
        if (source / _RECORD).is_file():
            return cls._open_prepared(source, role, kind)
        key, version = f"{role}-{kind}-{fingerprint(source)[:16]}", converter_fingerprint()[:16]

        def build(target: Path) -> None:
            from penstock_inference.engines import conversion  # noqa: PLC0415 - a warm start need not import onnx

            conversion.CONVERTERS[role](source, kind, target)

        return cls(BuildCache(cache_dir).get(key, version, build), f"{key}@{version}")

    @classmethod
    def _open_prepared(cls, directory: Path, role: str, kind: str) -> Self:
        if not is_intact(directory):
            raise UnsupportedModelError(f"{directory} is not as it was written: prepare the model again")
        record = json.loads((directory / _RECORD).read_bytes())
        if record.get("graph", 1) != _GRAPH_VERSION:
            raise UnsupportedModelError(f"{directory} is of another version: prepare the model again")
        if (record["role"], record["kind"]) != (role, kind):
            raise ValueError(
                f"{directory} holds a {record['role']} of kind {record['kind']}, not a {role} of {kind}"
            )
        contents = hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
        return cls(directory, f"{role}-{kind}-prepared-{contents[:16]}")

    def text(self, name: str) -> str:
        """Read one of its files."""
        return (self.directory / name).read_text(encoding="utf-8")

    @property
    def size_bytes(self) -> int:
        """Say how large it is."""
        return sum(path.stat().st_size for path in self.directory.iterdir())

    def session(self, threads: int) -> Session:
        """Load the graph."""
        return Session(self.directory / "model.onnx", threads=threads)

    def adapted_session(self, threads: int) -> Session:
        """Load the graph that adapters are added in.

        Raises UnsupportedModelError if the directory was written before there was one.
        """
        graph = self.directory / "adapted.onnx"
        if not graph.exists():
            raise UnsupportedModelError(
                f"{self.directory} has no graph for adapters: prepare the model again"
            )
        return Session(graph, threads=threads)

    def scale(self, weights: LoraWeights) -> LoraWeights:
        """Fit an adapter to weights that were smoothed: what reads a channel is multiplied, what writes it divided."""
        path = self.directory / "factors.npz"
        if not path.exists():
            return weights
        factors = np.load(path)
        pairs = {}
        for (layer, part), pair in weights.pairs.items():
            name = layer_tensors(layer)[part]
            columns, rows = (factors.get(f"{side} {name}", np.float32(1)) for side in ("columns", "rows"))
            pairs[layer, part] = LoraPair(pair.down * columns, pair.up * np.reshape(rows, (-1, 1)))
        return replace(weights, pairs=pairs)


def prepare_decoder(directory: Path, kind: str, build: Callable[[Path], None]) -> None:
    """Fill a new directory with a decoder, so that it can be opened by its path."""

    def build_with_record(target: Path) -> None:
        build(target)
        (target / _RECORD).write_text(json.dumps({"role": "decoder", "kind": kind, "graph": _GRAPH_VERSION}))

    build_entry(directory, build_with_record)


def converter_fingerprint() -> str:
    """Digest the code and the texts that convert, so that no cache outlives a change of them."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for part in ("engines/conversion", "formats"):
        for path in sorted([*(package / part).glob("*.py"), *(package / part).glob("*.txt")]):
            digest.update(path.read_bytes())
    return digest.hexdigest()
