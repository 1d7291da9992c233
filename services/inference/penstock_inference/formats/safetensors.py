"""Read safetensors files, Hugging Face's container of tensors."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import Floats, UnsupportedModelError
from penstock_inference.formats.fields import Fields, parse_fields

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_HEADER_BYTES_MAX = 100 << 20  # the format's own limit
_DIMENSIONS_MAX = 8


class _Entry(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class SafetensorsFile:
    """Map one file: the header's length, the header in JSON, then the tensors' bytes, without a gap.

    The library of that name cannot give bfloat16, in which most models come, to numpy.
    Raises UnsupportedModelError for a file that is damaged or lies about where its tensors are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if not 0 < header_bytes <= min(_HEADER_BYTES_MAX, size_bytes - 8):
                raise UnsupportedModelError(f"{path} is not a safetensors file")
            header = parse_fields(path, file.read(header_bytes))
        header.pop("__metadata__", None)
        self._entries = {name: self._entry(name, header.fields_of(name)) for name in header}
        self._start = 8 + header_bytes
        self._require_order(size_bytes - self._start)
        self._data = np.memmap(path, np.uint8, "r")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name the tensors in the file, with their shapes."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32."""
        if name not in self._entries:
            raise UnsupportedModelError(f"{self._path} lacks the tensor {name}")
        entry = self._entries[name]
        if entry.dtype not in _DTYPES:
            raise UnsupportedModelError(f"{self._path}: {name} has type {entry.dtype}")
        raw = self._data[self._start + entry.start : self._start + entry.end].view(_DTYPES[entry.dtype])
        return _as_float32(raw, bfloat16=entry.dtype == "BF16").reshape(entry.shape)

    def _entry(self, name: str, fields: Fields) -> _Entry:
        dtype = fields.text("dtype")
        shape, offsets = fields.items_of("shape", int), fields.items_of("data_offsets", int)
        if len(shape) > _DIMENSIONS_MAX or min(shape, default=0) < 0 or len(offsets) != 2:  # noqa: PLR2004
            raise UnsupportedModelError(f"{self._path}: {name} has the shape {shape[:9]} at {offsets[:3]}")
        start, end = offsets
        if dtype in _DTYPES and end - start != math.prod(shape) * _DTYPES[dtype].itemsize:
            raise UnsupportedModelError(
                f"{self._path}: {name} has {end - start} bytes for {shape} in {dtype}"
            )
        return _Entry(dtype, tuple(shape), start, end)

    def _require_order(self, data_bytes: int) -> None:
        """Refuse tensors that overlap or leave a gap: who wrote such a file meant something else by it."""
        spans = sorted((entry.start, entry.end, name) for name, entry in self._entries.items())
        for (_, end, _), (start, after, name) in pairwise([(0, 0, ""), *spans]):
            if start != end or after < start:
                raise UnsupportedModelError(f"{self._path}: {name} begins at byte {start} and not at {end}")
        end, name = (spans[-1][1], spans[-1][2]) if spans else (0, "nothing")
        if end > data_bytes:
            raise UnsupportedModelError(f"{self._path} is cut short: {name} ends at byte {end}")


def _as_float32(raw: npt.NDArray[Any], *, bfloat16: bool) -> Floats:
    """Widen; a bfloat16 is the upper half of a float32."""
    if bfloat16:
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
