"""Read safetensors files, Hugging Face's container of tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import Floats, UnsupportedModelError
from penstock_inference.formats.json_files import parse_object

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_HEADER_BYTES_MAX = 100 << 20  # the format's own limit


class SafetensorsFile:
    """Map one file: the header's length, the header in JSON, then the tensors' bytes.

    The library of that name cannot give bfloat16, in which most models come, to numpy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if not 0 < header_bytes <= _HEADER_BYTES_MAX:
                raise UnsupportedModelError(f"{path} is not a safetensors file")
            header = parse_object(path, file.read(header_bytes))
        header.pop("__metadata__", None)
        self._header = header
        self._data = np.memmap(path, np.uint8, "r", offset=8 + header_bytes)

    def names(self) -> set[str]:
        """Name the tensors in the file."""
        return set(self._header)

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32."""
        if name not in self._header:
            raise UnsupportedModelError(f"{self._path} lacks the tensor {name}")
        entry = self._header[name]
        if entry["dtype"] not in _DTYPES:
            raise UnsupportedModelError(f"{self._path}: {name} has type {entry['dtype']}")
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(self._data):
            raise UnsupportedModelError(f"{self._path} is cut short: {name} ends at byte {end}")
        raw = self._data[start:end].view(_DTYPES[entry["dtype"]])
        return _as_float32(raw, bfloat16=entry["dtype"] == "BF16").reshape(entry["shape"])


def _as_float32(raw: npt.NDArray[Any], *, bfloat16: bool) -> Floats:
    """Widen; a bfloat16 is the upper half of a float32."""
    if bfloat16:
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
