"""An engine that TensorRT has loaded, ready to run on a device."""

from collections.abc import Sequence
from typing import Any

from penstock_inference.engines.tensorrt import EngineRefusedError
from penstock_inference.engines.tensorrt.build import DECODE, PREFILL
from penstock_inference.engines.tensorrt.device import Device
from penstock_inference.engines.tensorrt.library import Library


class Execution:
    """One context for each profile; they share the weights."""

    def __init__(self, library: Library, plan: memoryview, device: Device) -> None:
        """Raises EngineRefusedError in the runtime's own words if it does not take the plan."""
        self._log = library.log
        self._stream = device.stream
        self._runtime = library.api.Runtime(library.logger)
        with self._log.recording():
            self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineRefusedError(f"{library} does not take the engine: {self._log.faults}")
        self._contexts = [self._context(library, profile) for profile in (PREFILL, DECODE)]

    def bind(self, profile: int, name: str, address: int, shape: Sequence[int] | None = None) -> None:
        """Say where a tensor lies, and of an input its shape, for all runs to come."""
        context = self._contexts[profile]
        if not context.set_tensor_address(name, address):
            raise RuntimeError(self._log.faults)
        if shape is not None and not context.set_input_shape(name, tuple(shape)):
            raise RuntimeError(self._log.faults)

    def run(self, profile: int) -> None:
        """Ask the device to compute. Raises RuntimeError if it cannot even be asked."""
        if not self._contexts[profile].execute_async_v3(self._stream):
            raise RuntimeError(self._log.faults)

    def close(self) -> None:
        """Give back contexts and weights."""
        del self._contexts, self._engine, self._runtime

    def _context(self, library: Library, profile: int) -> Any:
        context = self._engine.create_execution_context(self._runtime_config(library, profile))
        if context is None or not context.set_optimization_profile_async(profile, self._stream):
            raise EngineRefusedError(f"the engine cannot be run: {self._log.faults}")
        return context

    def _runtime_config(self, library: Library, profile: int) -> Any:
        """Choose how TensorRT-RTX makes its kernels.

        Kernels made for a shape as it becomes frequent would change the last bits of an answer with what
        came before it, so one kernel serves all shapes. Decoding is captured as a CUDA graph: its shapes recur.
        """
        config = self._engine.create_runtime_config()
        if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
            strategies = library.api.DynamicShapesKernelSpecializationStrategy
            config.dynamic_shapes_kernel_specialization_strategy = strategies.NONE
        if hasattr(config, "cuda_graph_strategy") and profile == DECODE:
            config.cuda_graph_strategy = library.api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return config
