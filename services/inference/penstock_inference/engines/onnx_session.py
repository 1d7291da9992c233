"""Run ONNX graphs. The only module that imports onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]
LIBRARY_VERSION: str = onnxruntime.__version__
_OPERATORS = Path(__file__).parent.parent / "lib" / "native.so"
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_SPIN_MICROSECONDS = 50  # the default spins for milliseconds after each step, on cores that others need


class Session:
    """One loaded graph. Several threads may run it at once; a Binding belongs to one."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        if not _OPERATORS.exists():
            raise FileNotFoundError(f"{_OPERATORS} is missing: services/inference/native/build makes it")
        options = onnxruntime.SessionOptions()
        options.register_custom_ops_library(str(_OPERATORS))
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def dtype(self, name: str) -> npt.DTypeLike:
        """Say what numbers an input takes, single or half floats."""
        found = next(given.type for given in self._session.get_inputs() if given.name == name)
        return _DTYPES[found]

    def run(self, output: str, inputs: Mapping[str, Array]) -> Array:
        """Compute one output."""
        return self.run_all([output], inputs)[0]

    def run_all(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Compute several outputs."""
        results: list[Array] = self._session.run(outputs, inputs)
        return results

    def bind(self) -> "Binding":
        """Prepare a run on memory of the caller's."""
        return Binding(self._session)


class Binding:
    """Inputs and outputs of a run, as arrays that are read and written in place. Keeps them alive."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._arrays: dict[str, Array] = {}

    def input(self, name: str, array: Array) -> None:
        """Let the run read this array; its values may change between runs."""
        self._arrays[name] = array
        self._binding.bind_input(name, *_memory(array))

    def output(self, name: str, array: Array) -> None:
        """Let the run write this array, which may be an input's."""
        self._arrays[name] = array
        self._binding.bind_output(name, *_memory(array))

    def run(self) -> None:
        """Compute every output into its array."""
        self._session.run_with_iobinding(self._binding)


def _memory(array: Array) -> tuple[str, int, np.dtype[Any], tuple[int, ...], int]:
    assert array.flags.c_contiguous
    return "cpu", 0, array.dtype, array.shape, array.ctypes.data
