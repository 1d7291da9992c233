"""A GPU's memory and stream. The only module that imports CUDA."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from cuda.bindings import runtime as cuda

from penstock_inference.engines.tensorrt import EngineRefusedError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Pieces of memory at equal distances, in bytes."""

    address: int
    piece_bytes: int
    pieces: int
    distance: int


class Device:
    """The first GPU that this process may use. What is asked of it is done in order, after the call returned."""

    def __init__(self) -> None:
        try:
            _call(cuda.cudaGetDeviceCount)
            self.stream = int(_call(cuda.cudaStreamCreateWithFlags, cuda.cudaStreamNonBlocking))
        except RuntimeError as error:
            raise EngineRefusedError(f"there is no GPU to run on: {error}") from error
        self._allocations: list[int] = []
        self._pinned: list[Array] = []

    @property
    def target(self) -> str:
        """Name what engines for it are built for, "sm89"."""
        properties = _call(cuda.cudaGetDeviceProperties, 0)
        return f"sm{properties.major}{properties.minor}"

    def allocate(self, size_bytes: int) -> int:
        """Give the address of zeroed memory. Raises RuntimeError if it does not fit."""
        address = int(_call(cuda.cudaMalloc, size_bytes))
        self._allocations.append(address)
        self.clear(address, size_bytes)
        return address

    def clear(self, address: int, size_bytes: int) -> None:
        """Fill memory with zeros."""
        _call(cuda.cudaMemsetAsync, address, 0, size_bytes, self.stream)

    def pin(self, array: Array) -> None:
        """Keep an array of the host's in its place, so that it is filled without a copy between."""
        _call(cuda.cudaHostRegister, array.ctypes.data, array.nbytes, cuda.cudaHostRegisterDefault)
        self._pinned.append(array)

    def upload(self, address: int, values: Array) -> None:
        """Copy an array to the device; it may be changed at once unless it is pinned."""
        assert values.flags.c_contiguous
        kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        _call(cuda.cudaMemcpyAsync, address, values.ctypes.data, values.nbytes, kind, self.stream)

    def download(self, address: int, values: Array) -> None:
        """Fill an array from the device, after all that was asked before, and wait for it."""
        assert values.flags.c_contiguous
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call(cuda.cudaMemcpyAsync, values.ctypes.data, address, values.nbytes, kind, self.stream)
        self.wait()

    def copy(self, source: Block, target_address: int) -> None:
        """Copy pieces to as many at the same distances."""
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        to, distance = target_address, source.distance
        size = (source.piece_bytes, source.pieces)
        _call(cuda.cudaMemcpy2DAsync, to, distance, source.address, distance, *size, kind, self.stream)

    def wait(self) -> None:
        """Wait until all is done. Raises RuntimeError if any of it failed."""
        _call(cuda.cudaStreamSynchronize, self.stream)

    def close(self) -> None:
        """Give everything back."""
        _call(cuda.cudaStreamSynchronize, self.stream)
        for array in self._pinned:
            _call(cuda.cudaHostUnregister, array.ctypes.data)
        for address in self._allocations:
            _call(cuda.cudaFree, address)
        _call(cuda.cudaStreamDestroy, self.stream)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call CUDA; give its result if it has one. Raises RuntimeError in CUDA's words."""
    error, *results = function(*arguments)
    if error != cuda.cudaError_t.cudaSuccess:
        _, name = cuda.cudaGetErrorName(error)
        _, text = cuda.cudaGetErrorString(error)
        raise RuntimeError(f"{name.decode()}: {text.decode()}")
    return results[0] if results else None
