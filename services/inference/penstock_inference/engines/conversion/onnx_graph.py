"""Write ONNX graphs. The only module that imports onnx."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

_OPSETS = {"": 20, "com.microsoft": 1, "penstock": 1}
_IR_VERSION = 10
_INLINE_BYTES_MAX = 1024  # shapes and axes stay in the graph, where shape inference can see them
_ALIGNMENT_BYTES = 4096  # so that a tensor can be memory-mapped by itself
GRAPH_FILE = "model.onnx"
ADAPTED_GRAPH_FILE = "adapted.onnx"  # the same, with what adapters add: it reads the same weights
WEIGHTS_FILE = "weights.bin"

Dims = Sequence[int | str]


class GraphBuilder:
    """Collect the nodes of one graph; its large constants go straight to a file beside it.

    Values are known by name. Use as a context manager, and call `save` inside.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._weights = (directory / WEIGHTS_FILE).open("wb")
        self._offsets: dict[bytes, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._numbers = itertools.count()  # of nodes
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._weights.close()

    def input(self, name: str, dtype: npt.DTypeLike, dims: Dims) -> str:
        """Declare an input; a dimension given as a name may vary."""
        self._inputs.append(_value_info(name, dtype, dims))
        return name

    def output(self, name: str, value: str, dtype: npt.DTypeLike, dims: Dims) -> None:
        """Declare that a value, which no node reads, is a result, and give it this name."""
        for node in self._nodes:
            node.output[:] = [name if output == value else output for output in node.output]
        self._outputs.append(_value_info(name, dtype, dims))

    def constant(self, array: npt.NDArray[Any]) -> str:
        """Add a constant. Arrays of equal bytes share their place in the weights file."""
        array = np.ascontiguousarray(array)
        tensor = TensorProto(
            name=f"constant_{len(self._constants)}",
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
        )
        if array.nbytes <= _INLINE_BYTES_MAX:
            tensor.raw_data = array.tobytes()
        else:
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": WEIGHTS_FILE, "offset": self._write(array), "length": array.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
        self._constants.append(tensor)
        return str(tensor.name)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, "Mul" or "com.microsoft::MatMulNBits", and name its result. An absent input is ""."""
        return self.add_multiple(operator, *inputs, results=["result"], **attributes)[0]

    def add_multiple(
        self, operator: str, *inputs: str, results: Sequence[str], **attributes: Any
    ) -> list[str]:
        """Add a node with several results and give their full names; an unwanted result is ""."""
        domain, _, op_type = operator.rpartition("::")
        number = next(self._numbers)
        names = [f"{op_type}_{number}.{result}" if result else "" for result in results]
        self._nodes.append(helper.make_node(op_type, inputs, names, domain=domain, **attributes))
        return names

    def replace(self, value: str, make: Callable[[], str]) -> str:
        """Let the nodes that read a value read what `make` adds instead, right behind the value's own node. Name it."""
        place = next(place for place, node in enumerate(self._nodes) if value in node.output) + 1
        before, after = self._nodes[:place], self._nodes[place:]
        self._nodes = before
        made = make()
        for node in after:
            node.input[:] = [made if name == value else name for name in node.input]
        self._nodes += after
        return made

    def save(self, name: str = GRAPH_FILE) -> None:
        """Write the graph beside its weights."""
        graph = helper.make_graph(self._nodes, "step", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        (self._directory / name).write_bytes(model.SerializeToString())

    def _write(self, array: npt.NDArray[Any]) -> int:
        content = hashlib.sha256(array.data).digest()
        if content not in self._offsets:
            self._weights.seek(-self._weights.tell() % _ALIGNMENT_BYTES, 1)
            self._offsets[content] = self._weights.tell()
            self._weights.write(array.data)
        return self._offsets[content]


def _value_info(name: str, dtype: npt.DTypeLike, dims: Dims) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims)
