"""The second door, knocked at by Triton's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from inference_client import ENCODER, MODEL, Client
from penstock.inference.v1 import inference_service_pb2
from penstock_inference.settings import MINILM, SMOLLM2
from servicekit.errors import from_rpc_error
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult, service_pb2, service_pb2_grpc
from tritonclient.grpc import aio as triton
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = SMOLLM2.model_copy(update={"slots": 4, "context_tokens": 256})
SPARE = SMALL.model_copy(update={"id": "spare", "slots": 1, "context_tokens": 128, "at_start": False})
GREEDY = {"temperature": 0.0, "max_tokens": 8}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(
    inference_settings: Callable, serve: Callable
) -> AsyncIterator[tuple[Client, triton.InferenceServerClient]]:
    """The service, and Triton's client of it. Its memory has room for the model and little more than the spare one."""
    settings = inference_settings(models=(SMALL, SPARE), kserve=True, memory_bytes_max=450 << 20)
    async with serve(settings) as client:
        await client.loaded()
        async with triton.InferenceServerClient(client.server.address) as knocking:
            yield client, knocking


def text(*texts: str) -> list[InferInput]:
    tensor = InferInput("text_input", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array([each.encode() for each in texts], object))
    return [tensor]


def said(result: InferResult) -> str:
    return result.as_numpy("text_output")[0].decode()


async def test_it_is_live_ready_and_says_what_it_has(door) -> None:
    _, knocking = door
    assert await knocking.is_server_live()
    assert await knocking.is_server_ready()
    assert await knocking.is_model_ready(MODEL)
    assert not await knocking.is_model_ready("nobody")
    assert (await knocking.get_server_metadata()).name == "penstock"
    described = await knocking.get_model_metadata(MODEL)
    assert [(tensor.name, tensor.datatype) for tensor in described.outputs] == [
        ("text_output", "BYTES"),
        ("finish_reason", "BYTES"),
    ]
    assert (await knocking.get_model_metadata(ENCODER)).outputs[0].shape == [-1, 384]
    index = await knocking.get_model_repository_index()
    states = {model.name: model.state for model in index.models}
    assert states == {MODEL: "READY", ENCODER: "READY", "spare": "UNAVAILABLE"}


async def test_an_answer_is_that_of_the_first_door(door) -> None:
    client, knocking = door
    result = await knocking.infer(MODEL, text("The capital of France is"), request_id="7", parameters=GREEDY)
    assert said(result) == (await client.answer("The capital of France is", **GREEDY)).text
    assert result.as_numpy("finish_reason")[0] == b"length"
    assert result.get_response().id == "7"


async def test_texts_are_embedded_together(door) -> None:
    _, knocking = door
    result = await knocking.infer(ENCODER, text("a cat", "a kitten", "the stock market"))
    vectors = result.as_numpy("embedding")
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


async def test_a_stream_answers_as_the_answer_comes_and_goes_on_after_a_refusal(door) -> None:
    client, knocking = door

    async def requests():
        parameters = {**GREEDY, "max_tokens": 40, "ignore_eos": True}
        for request_id, model in (("1", MODEL), ("2", "nobody"), ("3", MODEL)):
            yield {
                "model_name": model,
                "inputs": text("Once upon a time"),
                "request_id": request_id,
                "parameters": parameters,
            }

    answers: dict[str, list[InferResult]] = {"1": [], "3": []}
    errors = []
    async for result, error in knocking.stream_infer(requests()):
        if error is not None:
            errors.append(error)
        else:
            answers[result.get_response().id].append(result)
    expected = await client.answer("Once upon a time", temperature=0.0, max_tokens=40, ignore_eos=True)
    for parts in answers.values():
        finals = [part.get_response().parameters["triton_final_response"].bool_param for part in parts]
        assert finals == [False] * (len(parts) - 1) + [True]
        assert len(parts) > 2
        assert "".join(map(said, parts)) == expected.text
    assert len(errors) == 1
    assert "MODEL_NOT_FOUND" in str(errors[0])


async def test_an_empty_last_response_comes_when_it_is_asked_for(door) -> None:
    client, _ = door
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="text_input", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"Once")
    request.parameters["max_tokens"].int64_param = 4
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    stub = service_pb2_grpc.GRPCInferenceServiceStub(client.channel)
    responses = [response.infer_response async for response in stub.ModelStreamInfer(iter([request]))]
    finals = [response.parameters["triton_final_response"].bool_param for response in responses]
    assert finals == [False] * (len(responses) - 1) + [True]
    assert [tensor.name for tensor in responses[-2].outputs] == ["text_output", "finish_reason"]
    assert not responses[-1].outputs


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"temperature": 7.0}, "from 0 to 2"),
        ({"max_tokens": "many"}, "number"),
        ({"min_p": -1.0}, "from 0 to 1"),
        ({"stop": 5}, "a text"),
        ({"ignore_eos": "yes"}, "true or false"),
        ({"max_token": 5}, "no such parameter, but temperature, .*max_tokens"),
    ],
)
async def test_parameters_that_cannot_be_are_refused(door, parameters: dict, complaint: str) -> None:
    _, knocking = door
    with pytest.raises(InferenceServerException, match=complaint):
        await knocking.infer(MODEL, text("hi"), parameters=parameters)


async def test_only_the_outputs_that_are_asked_for_come(door) -> None:
    _, knocking = door
    outputs = [InferRequestedOutput("finish_reason")]
    result = await knocking.infer(MODEL, text("Once"), outputs=outputs, parameters=GREEDY)
    assert [tensor.name for tensor in result.get_response().outputs] == ["finish_reason"]


async def test_tensors_and_versions_that_a_model_does_not_have_are_refused(door) -> None:
    _, knocking = door
    with pytest.raises(InferenceServerException, match="but text_output and finish_reason"):
        await knocking.infer(MODEL, text("Once"), outputs=[InferRequestedOutput("tokens")])
    with pytest.raises(InferenceServerException, match=r"no model .* of version 7"):
        await knocking.infer(MODEL, text("Once"), model_version="7")
    with pytest.raises(InferenceServerException, match="such tensor here, but text_input"):
        await knocking.infer(MODEL, [*text("Once"), InferInput("sampling_parameters", [1], "BYTES")])


async def test_what_only_triton_has_is_said_to_be_not_served(door) -> None:
    _, knocking = door
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        await knocking.get_model_config(MODEL)


@pytest.mark.parametrize("raw", [b"\x05\x00\x00\x00hi", b"\x01", b"", b"\x02\x00\x00\x00\xff\xff"])
async def test_tensors_that_lie_are_refused(door, raw: bytes) -> None:
    client, _ = door
    request = service_pb2.ModelInferRequest(model_name=MODEL, raw_input_contents=[raw])
    request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    stub = service_pb2_grpc.GRPCInferenceServiceStub(client.channel)
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await stub.ModelInfer(request)


async def test_models_come_and_go_within_the_memory_budget_while_others_answer(door) -> None:
    client, knocking = door
    assert not await knocking.is_model_ready("spare")
    long = asyncio.create_task(client.answer("Once", max_tokens=200, ignore_eos=True, temperature=0.0))
    await knocking.load_model("spare")
    assert await knocking.is_model_ready("spare")
    assert (await client.answer("hi", model="spare", max_tokens=2, ignore_eos=True)).completion_tokens == 2
    await knocking.unload_model("spare")
    assert not await knocking.is_model_ready("spare")
    assert await knocking.is_server_ready()
    assert (await long).completion_tokens == 200


async def test_a_model_that_does_not_fit_is_refused_and_takes_nothing(
    inference_settings: Callable, serve: Callable
) -> None:
    settings = inference_settings(models=(SMALL, SPARE), encoders=(MINILM,), memory_bytes_max=300 << 20)
    async with serve(settings) as client:
        await client.loaded()
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await client.stub.LoadModel(inference_service_pb2.LoadModelRequest(model="spare"))
            assert from_rpc_error(refused.value).reason == "OVERLOADED"
        drained = inference_service_pb2.UnloadModelRequest(model=MODEL, drain_seconds=10)
        await client.stub.UnloadModel(drained)
        loaded = await client.stub.LoadModel(inference_service_pb2.LoadModelRequest(model="spare"))
        assert loaded.model.slots == 1
        assert (await client.answer("hi", model="spare", max_tokens=1)).completion_tokens == 1
