"""Read the GGUF container (llama.cpp's, versions 2 and 3). The only module that imports gguf.

That library's own reader believes what a file says about itself: an array that claims 2^60 items keeps it busy for
ever. Here every count, size and offset is held against the file's true size before anything is read by it.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np

from penstock_inference.formats import Floats, UnsupportedModelError
from penstock_inference.formats.fields import Fields

_MAGIC = 0x46554747  # "GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT_BYTES = 32
_FIELDS_MAX = 1 << 16
_TENSORS_MAX = 1 << 16
_ITEMS_MAX = 1 << 22  # of an array: the largest vocabularies have 2^18 tokens
_DIMENSIONS_MAX = 4
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class _Tensor(NamedTuple):
    name: str
    kind: gguf.GGMLQuantizationType
    shape: tuple[int, ...]  # rows first, as numpy has it
    start: int  # from the beginning of the data
    size_bytes: int


class GgufFile:
    """Map one file. Raises UnsupportedModelError if it is damaged, cut short or of another version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise self._unreadable(f"{error}") from error
        try:
            self._read_header(_Cursor(self._map))
        except (_DamagedError, UnicodeDecodeError) as error:
            raise self._unreadable(f"{error}") from error

    @property
    def fields(self) -> Fields:
        """Give the metadata by key."""
        return self._fields

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name the tensors, with their shapes."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def tensor(self, name: str) -> Floats:
        """Read a tensor, dequantised. Raises UnsupportedModelError for a type that cannot be."""
        tensor = self._tensors[name]
        start = self._data_start + tensor.start
        rows = gguf.quant_shape_to_byte_shape(tensor.shape, tensor.kind)
        raw = np.frombuffer(self._map, np.uint8, tensor.size_bytes, start).reshape(rows)
        try:
            values = gguf.dequantize(raw, tensor.kind)
        except NotImplementedError as error:
            raise UnsupportedModelError(f"{self._path}: {name} has type {tensor.kind.name}") from error
        return np.asarray(values, dtype=np.float32)

    def _read_header(self, cursor: "_Cursor") -> None:
        magic, version = cursor.scalar("I"), cursor.scalar("I")
        if magic != _MAGIC or version not in _VERSIONS:
            raise _DamagedError(f"it begins with {magic:#x}, version {version}")
        tensors, fields = cursor.count(_TENSORS_MAX, "tensors"), cursor.count(_FIELDS_MAX, "fields")
        self._fields = Fields(self._path, {cursor.string(): cursor.value() for _ in range(fields)})
        entries = [_read_tensor(cursor) for _ in range(tensors)]
        self._tensors = {entry.name: entry for entry in entries}
        if len(self._tensors) < tensors or len(self._fields) < fields:
            raise _DamagedError("a name occurs twice")
        alignment = self._fields.integer("general.alignment", _ALIGNMENT_BYTES)
        if alignment < 1:
            raise _DamagedError(f"its alignment is {alignment}")
        self._data_start = cursor.place + -cursor.place % alignment
        self._require_room(entries)

    def _require_room(self, tensors: list[_Tensor]) -> None:
        spans = sorted((tensor.start, tensor.start + tensor.size_bytes, tensor.name) for tensor in tensors)
        for (_, end, before), (start, _, name) in pairwise(spans):
            if start < end:
                raise _DamagedError(f"the tensors {before} and {name} overlap")
        if spans and self._data_start + spans[-1][1] > len(self._map):
            raise _DamagedError(
                f"it is cut short: {spans[-1][2]} ends at byte {self._data_start + spans[-1][1]}"
            )

    def _unreadable(self, reason: str) -> UnsupportedModelError:
        return UnsupportedModelError(f"{self._path} is not a readable GGUF file: {reason}")


class _DamagedError(ValueError):
    """Something in the file cannot be."""


class _Cursor:
    """Walk through a file from its beginning."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.place = 0

    def scalar(self, code: str) -> Any:
        """Read a number."""
        layout = struct.Struct(f"<{code}")
        return layout.unpack(self._take(layout.size))[0]

    def count(self, limit: int, what: str) -> int:
        """Read how many of something follow."""
        count: int = self.scalar("Q")
        if count > limit:
            raise _DamagedError(f"it claims {count} {what}")
        return count

    def string(self) -> str:
        """Read a text."""
        return self._take(self.scalar("Q")).decode()

    def value(self) -> Any:
        """Read a typed value; an array becomes a list."""
        kind = self.scalar("I")
        if kind != _ARRAY:
            return self._plain(kind)
        kind, count = self.scalar("I"), self.count(_ITEMS_MAX, "items")
        if kind in _SCALARS:
            layout = struct.Struct(f"<{count}{_SCALARS[kind]}")
            return list(layout.unpack(self._take(layout.size)))
        return [self._plain(kind) for _ in range(count)]

    def _plain(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind not in _SCALARS:
            raise _DamagedError(f"a value has the unknown type {kind}")
        return self.scalar(_SCALARS[kind])

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.place:
            raise _DamagedError(f"{count} bytes are missing at byte {self.place}")
        self.place += count
        return self._data[self.place - count : self.place]


def _read_tensor(cursor: _Cursor) -> _Tensor:
    name, dimensions = cursor.string(), cursor.scalar("I")
    if not 1 <= dimensions <= _DIMENSIONS_MAX:
        raise _DamagedError(f"the tensor {name} has {dimensions} dimensions")
    shape = tuple(cursor.scalar("Q") for _ in range(dimensions))[::-1]
    kind, start = cursor.scalar("I"), cursor.scalar("Q")
    if kind not in gguf.GGML_QUANT_SIZES:
        raise _DamagedError(f"the tensor {name} has the unknown type {kind}")
    kind = gguf.GGMLQuantizationType(kind)
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if 0 in shape or shape[-1] % block:
        raise _DamagedError(f"the tensor {name} of type {kind.name} has the shape {shape}")
    return _Tensor(name, kind, shape, start, math.prod(shape) // block * block_bytes)
