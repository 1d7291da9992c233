"""The other calls, readiness, limits and crashes."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inference_client import ENCODER, GREEDY, MODEL, Client, generate_request, generation_input
from penstock.inference.v1 import inference_service_pb2
from penstock_inference.settings import SMOLLM2
from servicekit.channel import connect
from servicekit.errors import from_status
from testkit.process import ChildProcess, free_port
from testkit.waiting import SECONDS_MAX, until


@pytest.mark.asyncio(loop_scope="session")
async def test_tokens_are_counted_item_by_item(client: Client) -> None:
    request = inference_service_pb2.CountTokensRequest()
    inputs = ["The capital of France is", [(3, "hi")], "lighthouse " * 600, "x"]
    for prompt, model in zip(inputs, [MODEL, MODEL, MODEL, "gpt-17"], strict=True):
        item = request.items.add(model=model, input=generation_input(prompt))
        item.context.request_id, item.context.organization = "r", "acme"
    plain, chat, long, unknown = (await client.stub.CountTokens(request)).results
    assert (plain.status.code, plain.prompt_tokens, plain.context_tokens) == (0, 5, 512)
    assert chat.prompt_tokens == 31
    assert from_status(long.status).reason == "CONTEXT_LENGTH_EXCEEDED"
    assert from_status(unknown.status).reason == "MODEL_NOT_FOUND"


async def embed(client: Client, *texts: str, model: str = ENCODER) -> list[inference_service_pb2.EmbedResult]:
    request = inference_service_pb2.EmbedRequest()
    for text in texts:
        item = request.items.add(model=model, text=text)
        item.context.request_id, item.context.organization = "r", "acme"
    return list((await client.stub.Embed(request)).results)


@pytest.mark.asyncio(loop_scope="session")
async def test_texts_that_mean_the_same_have_vectors_that_are_close(client: Client) -> None:
    results = await embed(
        client, "A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose."
    )
    cat, kitten, rates = (np.frombuffer(result.vector, "<f4") for result in results)
    assert [result.status.code for result in results] == [0, 0, 0]
    assert [len(cat), round(float(cat @ cat), 4)] == [384, 1.0]
    assert cat @ kitten > 0.5
    assert cat @ rates < 0.2
    assert results[0].prompt_tokens == 9


@pytest.mark.asyncio(loop_scope="session")
async def test_a_vector_does_not_depend_on_the_texts_beside_it(client: Client) -> None:
    (alone,) = await embed(client, "A cat sits on the mat.")
    beside = [["word " * (place % 40 + 1)] * 9 for place in range(12)]
    lists = await asyncio.gather(*(embed(client, *texts, "A cat sits on the mat.") for texts in beside))
    assert {results[-1].vector for results in lists} == {alone.vector}


@pytest.mark.asyncio(loop_scope="session")
async def test_a_text_of_any_length_is_embedded(client: Client) -> None:
    (result,) = await embed(client, "lighthouse " * 200_000)
    assert result.status.code == 0
    assert result.prompt_tokens == 256


@pytest.mark.asyncio(loop_scope="session")
async def test_a_long_list_lets_a_short_one_in_between(client: Client) -> None:
    long = asyncio.create_task(
        embed(client, *(f"{place} words on lighthouses and the sea" for place in range(600)))
    )
    await asyncio.sleep(0.05)
    (short,) = await embed(client, "hi")
    assert short.status.code == 0
    assert not long.done()
    assert len(await long) == 600


@pytest.mark.asyncio(loop_scope="session")
async def test_an_unknown_encoder_fails_its_item(client: Client) -> None:
    (result,) = await embed(client, "hi", model="gpt-17")
    assert from_status(result.status).reason == "MODEL_NOT_FOUND"
    (result,) = await embed(client, "hi", model=MODEL)
    assert from_status(result.status).reason == "MODEL_NOT_FOUND"


@pytest.mark.asyncio(loop_scope="session")
async def test_models_are_listed_page_by_page(client: Client) -> None:
    first = await client.stub.ListModels(inference_service_pb2.ListModelsRequest(page_size=1))
    second = await client.stub.ListModels(
        inference_service_pb2.ListModelsRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [model.id for model in (*first.models, *second.models)] == [ENCODER, MODEL]
    assert second.next_page_token == ""
    assert first.models[0].dimensions == 384
    assert (second.models[0].slots, second.models[0].context_tokens) == (12, 512)
    assert (second.models[0].engine, second.models[0].weights_kind) == ("onnxruntime-cpu", "int8")


async def test_health_answers_while_models_load_and_turns_when_they_are_there(
    inference_settings: Callable, serve: Callable
) -> None:
    async with serve(inference_settings()) as client:
        assert not client.server.health.serving
        refusal = await client.refusal(generate_request("hi"))
        assert (refusal.reason, refusal.metadata) == ("DEPENDENCY_UNAVAILABLE", {"dependency": MODEL})
        health = health_pb2_grpc.HealthStub(client.channel)
        await client.loaded()
        async for response in health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS_MAX):
            if response.status == health_pb2.HealthCheckResponse.SERVING:
                break
        assert (await client.answer("hi", max_tokens=1)).completion_tokens == 1


async def test_a_model_that_cannot_be_loaded_is_told_and_the_others_answer(
    inference_settings: Callable, serve: Callable, tmp_path: Path
) -> None:
    lost = SMOLLM2.model_copy(update={"id": "lost", "reference": str(tmp_path / "lost.gguf")})
    small = SMOLLM2.model_copy(update={"slots": 2, "context_tokens": 128})
    async with serve(inference_settings(models=(lost, small))) as client:
        await client.loaded()
        assert (await client.answer("hi", max_tokens=1)).completion_tokens == 1
        refusal = await client.refusal(generate_request("hi", model="lost"))
        assert refusal.reason == "DEPENDENCY_UNAVAILABLE"
        assert "lost.gguf" in refusal.message
        await until(lambda: not client.server.health.serving)


async def test_too_many_requests_are_refused_with_when_to_retry(
    inference_settings: Callable, serve: Callable
) -> None:
    model = SMOLLM2.model_copy(update={"slots": 1, "context_tokens": 256})
    async with serve(inference_settings(models=(model,), waiting_max=1)) as client:
        await client.loaded()
        requests = [generate_request("hi", max_tokens=60, ignore_eos=True) for _ in range(4)]
        streams = [client.stream(request) for request in requests]
        outcomes = await asyncio.gather(*map(_first, streams), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
        assert len(refused) == 2
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_a_killed_process_has_every_token_that_left_it_in_its_journal(
    inference_settings: Callable, tmp_path: Path
) -> None:
    settings = inference_settings(tmp_path / "data")
    port, log = free_port(), tmp_path / "log"
    arguments = [sys.executable, "-m", "penstock_inference"]
    environment = {
        **os.environ,
        "PENSTOCK_DATA_DIR": str(settings.data_dir),
        "PENSTOCK_INFERENCE_GRPC_PORT": str(port),
        "PENSTOCK_INFERENCE_HTTP_PORT": str(free_port()),
        "PENSTOCK_INFERENCE_MODELS": "[" + settings.models[0].model_dump_json() + "]",
    }
    seen: dict[str, int] = {}
    with ChildProcess(arguments, log, env=environment) as process:
        process.wait_for_port(port)
        async with connect(f"127.0.0.1:{port}") as channel:
            client = Client(channel, None, None)
            await client.loaded()
            await client.answer("hi", max_tokens=3, operation_id="whole", **GREEDY)
            watching = [asyncio.create_task(_watch(client, f"cut-{place}", seen)) for place in range(3)]
            await until(lambda: len(seen) == 3 and min(seen.values()) >= 5)
            process.kill()
            await asyncio.gather(*watching)
    with ChildProcess(arguments, log, env=environment) as process:
        process.wait_for_port(port)
        async with connect(f"127.0.0.1:{port}") as channel:
            client = Client(channel, None, None)
            for operation, tokens in seen.items():
                usage = await client.ended_usage(operation)
                assert tokens <= usage.completion_tokens < 400
                assert usage.prompt_tokens == 1
            assert (await client.ended_usage("whole")).completion_tokens == 3


async def _first(stream) -> object:
    async for response in stream:
        return response
    raise AssertionError("an empty stream")


async def _watch(client: Client, operation: str, seen: dict[str, int]) -> None:
    request = generate_request("hi", max_tokens=400, ignore_eos=True, operation_id=operation)
    with pytest.raises(grpc.aio.AioRpcError):
        async for response in client.stream(request):
            if response.WhichOneof("event") == "delta":
                seen[operation] = response.delta.completion_tokens
