"""Add layers to a TensorRT network, one method a layer, each refused at once where TensorRT refuses it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.library import INT4, Library

Array = npt.NDArray[Any]
Tensor = Any  # an ITensor
_HEADS_BEFORE_TOKENS = (0, 2, 1, 3)  # and back


class Network:
    """A strongly typed network: what a layer computes in is what its inputs are."""

    def __init__(self, library: Library, builder: Any) -> None:
        self._library = library
        self._api = library.api
        flags = 0
        if hasattr(
            self._api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"
        ):  # in time the only way there is
            flags = 1 << int(self._api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.definition = builder.create_network(flags)
        self.constants: dict[str, Array] = {}
        self._weights: list[Array] = []  # TensorRT reads them when it builds, and does not keep them alive

    def input(self, name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> Tensor:
        """Add an input; -1 is a length that profiles bound."""
        return self.definition.add_input(name, self._library.data_type(dtype), tuple(shape))

    def output(self, name: str, tensor: Tensor) -> None:
        """Name a tensor and make it an output."""
        tensor.name = name
        self.definition.mark_output(tensor)

    def constant(self, values: Array) -> Tensor:
        """Add an array."""
        values = np.ascontiguousarray(values)
        kept = _pack(values) if values.dtype == INT4 else values
        weights = self._api.Weights(self._library.data_type(values.dtype), kept.ctypes.data, values.size)
        tensor = self._output(self.definition.add_constant(values.shape, weights))
        self._weights.append(kept)
        self.constants[tensor.name] = values
        return tensor

    def cast(self, tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """Convert to another type."""
        wanted = self._library.data_type(dtype)
        return tensor if tensor.dtype == wanted else self._output(self.definition.add_cast(tensor, wanted))

    def gather(self, table: Tensor, ids: Tensor) -> Tensor:
        """Look up rows."""
        return self._output(self.definition.add_gather(table, ids, 0))

    def add(self, left: Tensor, right: Tensor) -> Tensor:
        """Add two tensors of one rank."""
        return self._elementwise(left, right, "SUM")

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply two tensors of one rank, value by value."""
        return self._elementwise(left, right, "PROD")

    def mean_of_last_axis(self, tensor: Tensor) -> Tensor:
        """Average over the last axis, which stays as one of length 1."""
        axes = 1 << (len(tensor.shape) - 1)
        return self._output(
            self.definition.add_reduce(tensor, self._api.ReduceOperation.AVG, axes, keep_dims=True)
        )

    def reciprocal_root(self, tensor: Tensor) -> Tensor:
        """Compute one over the square root."""
        root = self._output(self.definition.add_unary(tensor, self._api.UnaryOperation.SQRT))
        return self._output(self.definition.add_unary(root, self._api.UnaryOperation.RECIP))

    def silu(self, tensor: Tensor) -> Tensor:
        """Multiply each value with its sigmoid."""
        sigmoid = self.definition.add_activation(tensor, self._api.ActivationType.SIGMOID)
        return self.multiply(tensor, self._output(sigmoid))

    def product(self, values: Tensor, matrix: Tensor) -> Tensor:
        """Multiply each row of values with a matrix `[outputs, inputs]` transposed."""
        operation = self._api.MatrixOperation
        return self._output(
            self.definition.add_matrix_multiply(values, operation.NONE, matrix, operation.TRANSPOSE)
        )

    def dequantize(self, codes: Tensor, scales: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """Multiply each row of codes with its scale, or with scales `[rows, blocks]` each block of it."""
        layer = self.definition.add_dequantize(codes, scales, self._library.data_type(dtype))
        result = self._output(layer)
        if len(scales.shape) == 1:
            layer.axis = 0
        return result

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Give another shape; 0 keeps a length, -1 is what remains."""
        layer = self.definition.add_shuffle(tensor)
        layer.reshape_dims = tuple(shape)
        return self._output(layer)

    def split_heads(self, tensor: Tensor, heads: int) -> Tensor:
        """Turn `[batch, tokens, heads * size]` into `[batch, heads, tokens, size]`."""
        layer = self.definition.add_shuffle(tensor)
        layer.reshape_dims = (0, 0, heads, tensor.shape[2] // heads)
        layer.second_transpose = _HEADS_BEFORE_TOKENS
        return self._output(layer)

    def join_heads(self, tensor: Tensor) -> Tensor:
        """Turn `[batch, heads, tokens, size]` into `[batch, tokens, heads * size]`."""
        layer = self.definition.add_shuffle(tensor)
        layer.first_transpose = _HEADS_BEFORE_TOKENS
        layer.reshape_dims = (0, 0, tensor.shape[1] * tensor.shape[3])
        return self._output(layer)

    def rotate(self, tensor: Tensor, tables: tuple[Tensor, Tensor], positions: Tensor) -> Tensor:
        """Turn each half-pair of a head by the angles of its position."""
        cos, sin = tables
        layer = self.definition.add_rotary_embedding(
            tensor, cos, sin, interleaved=False, rotary_embedding_dim=0
        )
        result = self._output(layer)
        layer.set_input(3, positions)
        return result

    def update_cache(self, cache: Tensor, rows: Tensor, first_rows: Tensor) -> Tensor:
        """Write rows into a cache, which must be an input; the result is the same memory."""
        mode = self._api.KVCacheMode.LINEAR
        return self._output(self.definition.add_kv_cache_update(cache, rows, first_rows, mode))

    def attend(self, query: Tensor, key_value: tuple[Tensor, Tensor], lengths: Tensor) -> Tensor:
        """Let each query see the keys up to its own; the last query's is the last of as many as `lengths` says.

        It is never taken apart: what has no fused kernel is refused when the engine is built.
        """
        softmax = self._api.AttentionNormalizationOp.SOFTMAX
        causal = self._api.CausalMaskKind.LOWER_RIGHT
        layer = self.definition.add_attention_v2(query, *key_value, softmax, causal)
        result = self._output(layer)
        layer.key_value_lengths = lengths
        layer.decomposable = False
        return result

    def _elementwise(self, left: Tensor, right: Tensor, operation: str) -> Tensor:
        chosen = getattr(self._api.ElementWiseOperation, operation)
        return self._output(self.definition.add_elementwise(left, right, chosen))

    def _output(self, layer: Any) -> Tensor:
        if layer is None:
            raise EngineBuildError(f"{self._library} refuses a layer: {self._library.log.faults}")
        return layer.get_output(0)


def _pack(codes: Array) -> Array:
    """Lay two 4-bit numbers into each byte, the first into its lower half."""
    low, high = codes.view(np.uint8).reshape(-1, 2).T & 0xF
    return np.asarray(low | high << 4)
