"""Tensors of the Open Inference Protocol v2 to requests of ours, and answers back.

Models that answer take `text_input` and give `text_output`, as Triton's LLM backends do; how tokens are chosen is said
in the request's parameters. Encoders take `text_input` of any length and give `embedding`.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from servicekit import context as request_context
from servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2

from penstock_inference.catalog import Model, model_not_found
from penstock_inference.generate import EndRequest, GenerationRequest
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.penalties import Penalties
from penstock_inference.sampler import SamplingParameters
from penstock_inference.sampling import Controls
from penstock_inference.sequence import Urgency

TEXT_INPUT, TEXT_OUTPUT, FINISH_REASON, EMBEDDING = "text_input", "text_output", "finish_reason", "embedding"
EMPTY_FINAL = "triton_enable_empty_final_response"
PLATFORM = "penstock"
VERSION = "1"  # the only one of each model
_LENGTH = struct.Struct("<I")  # before each element of a BYTES tensor

# Parameters that are numbers, with their bounds.
_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_k": (0, 100_000),
    "top_p": (1e-9, 1),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0.01, 2),
    "max_tokens": (0, 2**31),
    "min_tokens": (0, 2**31),
    "seed": (-(2**63), 2**63 - 1),
    "priority": (1, 10),
}
_TYPES = {"stop": (str, "a text"), "ignore_eos": (bool, "true or false")}
# What Triton's clients send by themselves. Answers have no sequences, and a call's deadline is gRPC's own.
_OF_TRITON = ("sequence_id", "sequence_start", "sequence_end", "timeout", EMPTY_FINAL)


def metadata(model: Model) -> service_pb2.ModelMetadataResponse:
    """Describe a model's tensors."""
    response = service_pb2.ModelMetadataResponse(name=model.id, versions=[VERSION], platform=PLATFORM)
    response.inputs.add(name=TEXT_INPUT, datatype="BYTES", shape=[-1])
    if isinstance(model, GenerativeModel):
        response.outputs.add(name=TEXT_OUTPUT, datatype="BYTES", shape=[1])
        response.outputs.add(name=FINISH_REASON, datatype="BYTES", shape=[1])
    else:
        response.outputs.add(name=EMBEDDING, datatype="FP32", shape=[-1, model.dimensions])
    return response


def check_request(model: Model, request: service_pb2.ModelInferRequest) -> None:
    """Refuse what the model does not have (INVALID_ARGUMENT, MODEL_NOT_FOUND) before anything is computed."""
    if request.model_version not in {"", VERSION}:
        raise model_not_found(f"{model.id} of version {request.model_version}")
    described = metadata(model)
    for given, known in ((request.inputs, described.inputs), (request.outputs, described.outputs)):
        names = [tensor.name for tensor in known]
        for tensor in given:
            if tensor.name not in names:
                raise invalid(tensor.name, f"The model has no such tensor here, but {' and '.join(names)}.")


def texts(request: service_pb2.ModelInferRequest) -> list[str]:
    """Read the texts.

    Raises:
        InvalidArgument: the tensor is missing, or is not what its shape says.
    """
    for place, tensor in enumerate(request.inputs):
        if tensor.name == TEXT_INPUT and tensor.datatype == "BYTES":
            raw = request.raw_input_contents
            elements = _elements(raw[place]) if place < len(raw) else tensor.contents.bytes_contents
            if len(elements) != math.prod(tensor.shape) or not elements:
                raise invalid(TEXT_INPUT, f"The shape {list(tensor.shape)} is not that of the contents.")
            try:
                return [element.decode() for element in elements]
            except UnicodeDecodeError as error:
                raise invalid(TEXT_INPUT, "The text is not UTF-8.") from error
    raise invalid(TEXT_INPUT, "A tensor of BYTES with this name is needed.")


def generation_request(request: service_pb2.ModelInferRequest) -> GenerationRequest:
    """Read what is to be answered."""
    (prompt, *others) = texts(request)
    if others:
        raise invalid(TEXT_INPUT, "One text is answered at a time.")
    given = _parameters(request)
    context = request_context.current()
    return GenerationRequest(
        model=request.model_name,
        prompt=prompt,
        sampling=SamplingParameters(
            Controls(*(given.get(name, default) for name, default in _CONTROLS)),
            Penalties(*(given.get(name, default) for name, default in _PENALTIES)),
        ),
        ends=EndRequest(
            tuple(filter(None, [given.get("stop")])),
            given.get("max_tokens", 0),
            given.get("min_tokens", 0),
            given.get("ignore_eos", False),
        ),
        seed=given.get("seed"),
        answers=1,
        organization=context.organization,
        urgency=Urgency(given.get("priority", context.priority or 5), context.deadline),
        operation_id=context.request_id,
        attempt=0,
    )


_CONTROLS = (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0), ("min_p", 0.0))
_PENALTIES = (("presence_penalty", 0.0), ("frequency_penalty", 0.0), ("repetition_penalty", 1.0))


def infer_response(
    request: service_pb2.ModelInferRequest, tensors: Iterable[tuple[str, str, Sequence[int], bytes]]
) -> service_pb2.ModelInferResponse:
    """Write tensors, each a name, a type, a shape and its contents: those that are asked for, or all."""
    response = service_pb2.ModelInferResponse(
        model_name=request.model_name, model_version=VERSION, id=request.id
    )
    wanted = {output.name for output in request.outputs}
    for name, datatype, shape, contents in tensors:
        if wanted and name not in wanted:
            continue
        response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.raw_output_contents.append(contents)
    return response


def bytes_tensor(name: str, text: str) -> tuple[str, str, Sequence[int], bytes]:
    """Write one text as a tensor."""
    utf8 = text.encode()
    return name, "BYTES", [1], _LENGTH.pack(len(utf8)) + utf8


def invalid(field: str, message: str) -> InvalidArgument:
    """Say what is wrong with a tensor or a parameter."""
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})


def _elements(raw: bytes) -> list[bytes]:
    elements, place = [], 0
    while place < len(raw):
        if place + _LENGTH.size > len(raw):
            raise invalid(TEXT_INPUT, "The contents end within an element.")
        (length,) = _LENGTH.unpack_from(raw, place)
        place += _LENGTH.size
        if place + length > len(raw):
            raise invalid(TEXT_INPUT, "The contents end within an element.")
        elements.append(raw[place : place + length])
        place += length
    return elements


def _parameters(request: service_pb2.ModelInferRequest) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, parameter in request.parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        value = getattr(parameter, kind) if kind else None
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            if isinstance(value, str | bool | None) or not low <= value <= high:
                raise invalid(name, f"It is a number from {low:g} to {high:g}.")
            whole = name not in {"temperature", "top_p", "min_p"} and not name.endswith("penalty")
            value = int(value) if whole else float(value)
        elif name in _TYPES:
            wanted, described = _TYPES[name]
            if not isinstance(value, wanted):
                raise invalid(name, f"It is {described}.")
        elif name not in _OF_TRITON:
            raise invalid(name, f"There is no such parameter, but {', '.join([*_BOUNDS, *_TYPES])}.")
        given[name] = value
    return given
