"""Reach TensorRT: the only module that imports it, in whichever of its packages is installed."""

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.log import Log

_PACKAGES = ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt")
_LAYERS = (
    "add_attention_v2",
    "add_kv_cache_update",
    "add_rotary_embedding",
)  # TensorRT 11.1, TensorRT-RTX 1.7
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT8 = np.dtype(ml_dtypes.float8_e4m3fn)
INT4 = np.dtype(ml_dtypes.int4)  # a byte each in numpy
_DATA_TYPES = {
    np.dtype(np.float32): "FLOAT",
    np.dtype(np.float16): "HALF",
    BFLOAT16: "BF16",
    FLOAT8: "FP8",
    np.dtype(np.int8): "INT8",
    INT4: "INT4",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
}
_TARGET_PREFIX = "SM"


@dataclass(frozen=True, slots=True)
class Library:
    """An installed TensorRT.

    Args:
        api: its module; it has no types.
        name: "tensorrt_rtx" or "tensorrt". Neither runs the other's engines.
        version: an engine runs on the version that built it.
        log: what it says.
        logger: what it says it to.
    """

    api: Any
    name: str
    version: str
    log: Log
    logger: Any

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def targets(self) -> tuple[str, ...]:
        """Name what it can build for without its GPU; none where it builds for the GPU that is here only."""
        names = dir(getattr(self.api, "ComputeCapability", None))
        named = (name.lower() for name in names if name.startswith(_TARGET_PREFIX))
        return tuple(sorted(named, key=lambda target: int(target.removeprefix(_TARGET_PREFIX.lower()))))

    def data_type(self, dtype: np.dtype[Any]) -> Any:
        """Give its name for a type of numpy's or ml_dtypes'."""
        return getattr(self.api.DataType, _DATA_TYPES[dtype])


@functools.cache
def open_library() -> Library:
    """Import TensorRT. Raises EngineBuildError if none is installed, or one that is too old."""
    for package in _PACKAGES:
        try:
            api = importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            continue
        log = Log()
        name = package.removesuffix("_bindings")
        library = Library(api, name, api.__version__, log, _make_logger(api, log))
        _require_layers(library)
        return library
    raise EngineBuildError("TensorRT is not installed: pip install 'penstock-inference[tensorrt]'")


def _make_logger(api: Any, log: Log) -> Any:
    class Logger(api.ILogger):  # type: ignore[misc]
        def log(self, severity: Any, message: str) -> None:
            log.note(int(severity), message)

    return Logger()


def _require_layers(library: Library) -> None:
    network = library.api.INetworkDefinition
    missing = [layer for layer in _LAYERS if not hasattr(network, layer)]
    if not missing and not hasattr(library.api.IAttention, "key_value_lengths"):
        missing = ["key_value_lengths of attention"]
    if missing:
        raise EngineBuildError(
            f"{library} lacks {', '.join(missing)}: TensorRT-RTX 1.7 or TensorRT 11.1 has them"
        )
