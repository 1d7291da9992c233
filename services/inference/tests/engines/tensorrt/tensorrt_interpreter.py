"""Run a TensorRT network without a GPU: each layer by what its documentation says, in numpy.

It stands where the runtime stands, so that the network and the engine are held against other implementations on any
machine. What it cannot tell is whether TensorRT's kernels do what TensorRT's documentation says.
"""

import ctypes
from collections.abc import Callable, Sequence

import ml_dtypes
import numpy as np
from penstock_inference.engines.tensorrt.device import Block
from penstock_inference.engines.tensorrt.library import Library
from penstock_inference.engines.tensorrt.network import Network

DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "FP8": ml_dtypes.float8_e4m3fn,
    "INT8": np.int8,
    "INT4": ml_dtypes.int4,
    "INT32": np.int32,
    "INT64": np.int64,
}


class HostDevice:
    """The host's memory in the place of a GPU's."""

    stream = 0

    def __init__(self) -> None:
        self._memory: list[np.ndarray] = []

    def allocate(self, size_bytes: int) -> int:
        self._memory.append(np.zeros(size_bytes, np.uint8))
        return self._memory[-1].ctypes.data

    def clear(self, address: int, size_bytes: int) -> None:
        ctypes.memset(address, 0, size_bytes)

    def pin(self, array: np.ndarray) -> None:
        pass

    def upload(self, address: int, values: np.ndarray) -> None:
        ctypes.memmove(address, values.ctypes.data, values.nbytes)

    def download(self, address: int, values: np.ndarray) -> None:
        ctypes.memmove(values.ctypes.data, address, values.nbytes)

    def copy(self, source: Block, target_address: int) -> None:
        for piece in range(source.pieces):
            offset = piece * source.distance
            ctypes.memmove(target_address + offset, source.address + offset, source.piece_bytes)

    def wait(self) -> None:
        pass

    def close(self) -> None:
        self._memory.clear()


class Interpreter:
    """Stands for Execution."""

    def __init__(self, library: Library, network: Network) -> None:
        self._api = library.api
        self._network = network
        self._layers = [self._layer(index) for index in range(network.definition.num_layers)]
        self._addresses: list[dict[str, int]] = [{}, {}]
        self._shapes: list[dict[str, tuple[int, ...]]] = [{}, {}]

    def bind(self, profile: int, name: str, address: int, shape: Sequence[int] | None = None) -> None:
        self._addresses[profile][name] = address
        if shape is not None:
            self._shapes[profile][name] = tuple(shape)

    def run(self, profile: int) -> None:
        definition, addresses = self._network.definition, self._addresses[profile]
        inputs = [definition.get_input(index) for index in range(definition.num_inputs)]
        outputs = [definition.get_output(index) for index in range(definition.num_outputs)]
        assert addresses.keys() == {tensor.name for tensor in (*inputs, *outputs)}
        values = {
            tensor.name: at_address(
                addresses[tensor.name], self._shapes[profile][tensor.name], DTYPES[tensor.dtype.name]
            )
            for tensor in inputs
        }
        for kind, layer in self._layers:
            self._compute(kind, layer, values)
        for tensor in outputs:
            result = values[tensor.name]
            if tensor.name.startswith("present_"):
                assert result.ctypes.data == addresses[tensor.name], "a cache is written where it is read"
            else:
                ctypes.memmove(addresses[tensor.name], result.ctypes.data, result.nbytes)

    def close(self) -> None:
        self._layers.clear()

    def _layer(self, index: int):
        """Give a layer's kind, and the layer as an object that knows what only its kind has."""
        layer = self._network.definition.get_layer(index)
        kind = layer.type.name  # an activation's own `type` hides it
        name = kind.title().replace("_", "")
        special = {"Elementwise": "ElementWise", "KvCacheUpdate": "KVCacheUpdate"}
        layer.__class__ = getattr(self._api, f"I{special.get(name, name)}Layer")
        return kind, layer

    def _compute(self, kind: str, layer, values: dict[str, np.ndarray]) -> None:
        output = layer.get_output(0)
        if kind == "CONSTANT":
            values[output.name] = self._network.constants[output.name]
            return
        given = (layer.get_input(index) for index in range(layer.num_inputs))
        inputs = [values[tensor.name] for tensor in given if tensor is not None]
        result = OPERATORS[kind](layer, *inputs)
        if isinstance(result, np.ndarray):
            result = np.ascontiguousarray(result.astype(DTYPES[output.dtype.name], copy=False))
        values[output.name] = result


def at_address(address: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)


def exact(values: np.ndarray) -> np.ndarray:
    """Compute as kernels do: in float32, rounded when the layer is done."""
    if values.dtype == ml_dtypes.bfloat16:  # the upper half of a float32; numpy converts ten times slower
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values if values.dtype.kind == "i" else values.astype(np.float32)


def elementwise(layer, left, right):
    operator = {"PROD": np.multiply, "SUM": np.add}[layer.op.name]
    assert left.ndim == right.ndim
    assert left.dtype == right.dtype
    return operator(exact(left), exact(right))


def reduce(layer, values):
    assert layer.op.name == "AVG"
    axes = tuple(axis for axis in range(values.ndim) if layer.axes >> axis & 1)
    return exact(values).mean(axis=axes, keepdims=layer.keep_dims)


def unary(layer, values):
    return {"SQRT": np.sqrt, "RECIP": np.reciprocal}[layer.op.name](exact(values))


def activation(layer, values):
    assert layer.type.name == "SIGMOID"
    return 1 / (1 + np.exp(-exact(values)))


def shuffle(layer, values):
    values = values.transpose(tuple(layer.first_transpose)[: values.ndim])
    if len(layer.reshape_dims) > 0:
        asked = enumerate(layer.reshape_dims)
        values = values.reshape([length or values.shape[axis] for axis, length in asked])
    return values.transpose(tuple(layer.second_transpose)[: values.ndim])


def matrix_multiply(layer, left, right):
    assert (layer.op0.name, layer.op1.name) == ("NONE", "TRANSPOSE")
    assert left.dtype == right.dtype
    return exact(left) @ exact(right).swapaxes(-1, -2)


def dequantize(layer, codes, scales):
    if scales.ndim == 2:  # of blocks
        scales = scales.repeat(codes.shape[1] // scales.shape[1], axis=1)
    else:
        assert layer.axis == 0
        scales = scales[:, None]
    return codes.astype(np.float32) * exact(np.ascontiguousarray(scales))


def rotary_embedding(layer, values, cos, sin, positions):
    assert not layer.interleaved
    cos, sin = (exact(table)[positions][:, None] for table in (cos, sin))
    first, second = np.split(exact(values), 2, axis=3)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=3)


def kv_cache_update(layer, cache, rows, first_rows):
    tokens = rows.shape[2]
    for sequence, first in enumerate(first_rows):
        assert 0 <= first <= cache.shape[2] - tokens, "TensorRT does not check this"
        cache[sequence, :, first : first + tokens] = rows[sequence]
    return cache


def attention_input(layer, query, keys, values, lengths):
    assert layer.attention.causal_kind.name == "LOWER_RIGHT"
    assert not layer.attention.decomposable
    return query, keys, values, lengths


def attention_output(layer, inputs):
    query, keys, values, lengths = inputs
    tokens, group = query.shape[2], query.shape[1] // keys.shape[1]
    keys, values = (exact(rows).repeat(group, axis=1) for rows in (keys, values))
    scores = exact(query) @ keys.swapaxes(2, 3)
    seen = np.arange(keys.shape[2]) <= (lengths[:, None] - tokens + np.arange(tokens))[:, None, :, None]
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    return weights / weights.sum(axis=3, keepdims=True) @ values


OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "ACTIVATION": activation,
    "ATTENTION_INPUT": attention_input,
    "ATTENTION_OUTPUT": attention_output,
    "CAST": lambda _, values: values,
    "DEQUANTIZE": dequantize,
    "ELEMENTWISE": elementwise,
    "GATHER": lambda _, table, ids: table[ids],
    "KV_CACHE_UPDATE": kv_cache_update,
    "MATRIX_MULTIPLY": matrix_multiply,
    "REDUCE": reduce,
    "ROTARY_EMBEDDING": rotary_embedding,
    "SHUFFLE": shuffle,
    "UNARY": unary,
}
