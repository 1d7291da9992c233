"""Adapters through the door: each is a model, which comes and goes while its base answers."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from inference_client import GREEDY, Client, generate_request, generation_input
from penstock.inference.v1 import inference_service_pb2 as pb
from penstock_inference.settings import AdapterSettings, InferenceSettings, ModelSettings
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file
from servicekit.errors import from_rpc_error
from small_decoder import write_adapter, write_decoder
from testkit.waiting import until

ENGINES = {"onnxruntime": ("onnxruntime-cpu", "int8"), "torch": ("torch-cpu", "fp32")}  # named and kind
WITH_ONE_ADAPTER_BYTES = {
    "onnxruntime": 462_000,  # two graphs and their weights, rows of KV and an adapter, and half of another
    "torch": 4 * (69_952 + 2 * 2 * 9 * 32 * 32 + 11_008),  # weights, rows of KV, an adapter
}


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that takes adapters."""
    if request.param == "torch":
        pytest.importorskip("torch", reason="the engine needs PyTorch")
    return request.param


@pytest.fixture
def settings(inference_settings: Callable, tmp_path: Path, engine: str) -> Callable[..., InferenceSettings]:
    """A decoder, an adapter of it that is loaded at the start, one on demand and one that is damaged."""
    for seed, name in enumerate(("formal", "brief", "damaged")):
        write_adapter(tmp_path / name, seed)
    (tmp_path / "damaged" / "adapter_model.safetensors").write_bytes(b"nonsense")
    base = ModelSettings(
        id="base",
        reference=str(write_decoder(tmp_path / "base")),
        engine=engine,
        kind=ENGINES[engine][1],
        slots=4,
        context_tokens=64,
    )
    adapters = [
        AdapterSettings(id=name, base="base", reference=str(tmp_path / name), at_start=name == "formal")
        for name in ("formal", "brief", "damaged")
    ]

    def make(**changes: object) -> InferenceSettings:
        return inference_settings(models=(base,), adapters=tuple(adapters), encoders=(), **changes)

    return make


async def text(client: Client, model: str) -> str:
    answers = client.answers("\x01\x02\x03", model=model, max_tokens=20, ignore_eos=True, **GREEDY)
    return (await answers)[0].text


async def load(client: Client, model: str) -> pb.LoadedModel:
    return (await client.stub.LoadModel(pb.LoadModelRequest(model=model))).model


async def is_serving(client: Client) -> None:
    await until(lambda: client.server.health.serving)


async def refusal(call: grpc.aio.UnaryUnaryCall) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.reason, error.message


async def test_an_adapter_is_a_model_that_comes_and_goes_while_its_base_answers(
    settings: Callable, serve: Callable, engine: str
) -> None:
    name, kind = ENGINES[engine]
    async with serve(settings()) as client:
        await client.loaded()
        listed = (await client.stub.ListModels(pb.ListModelsRequest())).models
        assert [(model.id, model.base, model.engine, model.weights_kind) for model in listed] == [
            ("base", "", name, kind),
            ("formal", "base", name, kind),
        ]
        alone = {model: await text(client, model) for model in ("base", "formal")}
        assert (await load(client, "brief")).fingerprint.startswith(listed[0].fingerprint)
        together = await asyncio.gather(*(text(client, model) for model in ("base", "formal", "brief")))
        assert together[:2] == [alone["base"], alone["formal"]]
        assert len(set(together)) == 3

        await client.stub.UnloadModel(pb.UnloadModelRequest(model="brief", drain_seconds=5))
        assert (await client.refusal(generate_request("x", model="brief"))).reason == "MODEL_NOT_FOUND"
        assert await text(client, "base") == alone["base"]
        await load(client, "brief")
        assert await text(client, "brief") == together[2]
        assert f'model_info{{engine="{name}",kind="{kind}",model="brief"}} 1.0' in client.exposition()


async def test_a_base_takes_its_adapters_with_it_and_comes_back_with_one(
    settings: Callable, serve: Callable
) -> None:
    async with serve(settings()) as client:
        await client.loaded()
        expected = await text(client, "formal")
        await client.stub.UnloadModel(pb.UnloadModelRequest(model="base"))
        assert not (await client.stub.ListModels(pb.ListModelsRequest())).models
        assert "model_info{" not in client.exposition()
        assert (await load(client, "formal")).base == "base"
        assert await text(client, "formal") == expected


async def test_what_an_adapter_used_is_in_the_journal_under_its_name(
    settings: Callable, serve: Callable
) -> None:
    async with serve(settings()) as client:
        await client.loaded()
        await client.answer("\x01\x02", model="formal", max_tokens=3, ignore_eos=True, operation_id="mine")
        usage = await client.ended_usage("mine")
        assert (usage.model, usage.prompt_tokens, usage.completion_tokens) == ("formal", 2, 3)
        request = pb.CountTokensRequest()
        item = request.items.add(model="formal", input=generation_input("\x01\x02"))
        item.context.request_id, item.context.organization = "r", "acme"
        assert (await client.stub.CountTokens(request)).results[0].prompt_tokens == 2


async def test_an_adapter_that_is_damaged_or_too_large_is_refused_and_the_others_answer(
    settings: Callable, serve: Callable, engine: str
) -> None:
    async with serve(settings(memory_bytes_max=WITH_ONE_ADAPTER_BYTES[engine])) as client:
        await client.loaded()
        reason, message = await refusal(client.stub.LoadModel(pb.LoadModelRequest(model="damaged")))
        assert reason == "DEPENDENCY_UNAVAILABLE"
        assert "adapter_model.safetensors is not a safetensors file" in message
        reason, message = await refusal(client.stub.LoadModel(pb.LoadModelRequest(model="brief")))
        assert (reason, "The model brief needs" in message) == ("OVERLOADED", True)
        assert await text(client, "formal") != await text(client, "base")
        await client.stub.UnloadModel(pb.UnloadModelRequest(model="formal"))
        assert (await load(client, "brief")).id == "brief"


async def test_an_adapter_that_overflows_fails_its_own_requests_and_no_others(
    settings: Callable, serve: Callable, tmp_path: Path
) -> None:
    weights = load_file(write_adapter(tmp_path / "huge", 7) / "adapter_model.safetensors")
    huge = {name: values * np.float32(1e30) for name, values in weights.items()}
    save_file(huge, tmp_path / "huge" / "adapter_model.safetensors")
    async with serve(settings(adapters_dir=tmp_path)) as client:
        await client.loaded()
        await client.stub.LoadModel(
            pb.LoadModelRequest(model="huge", adapter=pb.AdapterSource(base="base", directory="huge"))
        )
        expected = [await text(client, model) for model in ("base", "formal")]
        for _ in range(3):
            refusals = [client.refusal(generate_request("\x01\x02\x03", model="huge")) for _ in range(2)]
            *together, first, second = await asyncio.gather(
                text(client, "base"), text(client, "formal"), *refusals
            )
            assert together == expected
            assert [(error.reason, "not finite" in error.message) for error in (first, second)] == [
                ("INTERNAL", True)
            ] * 2
        await is_serving(client)


async def test_an_adapter_that_no_setting_names_is_loaded_from_the_directory_for_such(
    settings: Callable, serve: Callable, tmp_path: Path
) -> None:
    async with serve(settings(adapters_dir=tmp_path)) as client:
        await client.loaded()
        new = pb.LoadModelRequest(model="new", adapter=pb.AdapterSource(base="base", directory="brief"))
        assert (await client.stub.LoadModel(new)).model.base == "base"
        assert (await client.stub.LoadModel(new)).model.id == "new"
        await load(client, "brief")
        assert await text(client, "new") == await text(client, "brief")
        new.adapter.directory = "damaged"
        assert (await refusal(client.stub.LoadModel(new)))[0] == "RESOURCE_EXISTS"
        await client.stub.UnloadModel(pb.UnloadModelRequest(model="new"))
        assert (await refusal(client.stub.LoadModel(new)))[0] == "DEPENDENCY_UNAVAILABLE"
        assert (await refusal(client.stub.LoadModel(pb.LoadModelRequest(model="new"))))[
            0
        ] == "MODEL_NOT_FOUND"
        for directory in ("../base", "..", ".", ""):
            new.adapter.directory = directory
            assert (await refusal(client.stub.LoadModel(new)))[0] == "INVALID_ARGUMENT"
        await is_serving(client)


async def test_without_a_directory_for_them_only_adapters_of_the_settings_are_loaded(
    settings: Callable, serve: Callable
) -> None:
    async with serve(settings()) as client:
        await client.loaded()
        new = pb.LoadModelRequest(model="new", adapter=pb.AdapterSource(base="base", directory="brief"))
        reason, message = await refusal(client.stub.LoadModel(new))
        assert reason == "UNSUPPORTED_FEATURE"
        assert "PENSTOCK_INFERENCE_ADAPTERS_DIR" in message


def test_an_adapter_of_a_model_that_takes_none_is_refused_at_the_start(settings: Callable) -> None:
    made = settings()
    compiled = made.models[0].model_copy(update={"engine": "tensorrt", "kind": "bf16"})
    with pytest.raises(ValidationError, match="the adapter formal needs a model base on onnxruntime, torch"):
        InferenceSettings(models=(compiled,), adapters=made.adapters, encoders=())
