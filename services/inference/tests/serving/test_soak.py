"""Hard and long use: any request is answered or refused, urgent ones overtake, and nothing is left behind."""

import asyncio
import gc
import random
import re
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inference_client import GREEDY, Client, generate_request
from penstock.inference.v1 import generation_pb2, inference_service_pb2
from penstock.router.v1 import chat_message_pb2, tool_pb2
from penstock_inference.settings import SMOLLM2
from testkit.waiting import until

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
TEXTS = st.text(max_size=60) | st.sampled_from(["", "<|im_end|>", "\x00", "\ufdd0<|im_start|>", "é" * 900])
NUMBERS = st.floats(width=32) | st.integers(-5, 5).map(float)


@st.composite
def requests(draw: st.DrawFn) -> inference_service_pb2.GenerateRequest:
    """Any request at all, as a careless or a malicious caller would write it; its answer is short."""
    request = generate_request(
        draw(TEXTS), n=draw(st.sampled_from([0, 1, 3, 17])), max_tokens=draw(st.integers(1, 3))
    )
    if draw(st.booleans()):
        roles = st.sampled_from(chat_message_pb2.ChatRole.values())
        messages = [
            chat_message_pb2.ChatMessage(role=draw(roles), text=draw(TEXTS))
            for _ in range(draw(st.integers(0, 3)))
        ]
        request.input.chat.CopyFrom(generation_pb2.ChatInput(messages=messages))
        for _ in range(draw(st.integers(0, 2))):
            tool = request.input.chat.tools.add()
            tool.function.name = draw(st.sampled_from(["now", "now", "a b", ""]))
            tool.function.parameters_json = draw(
                st.sampled_from(["", "{}", "[]", "{", '{"type": "objekt"}', "null"])
            )
        if draw(st.booleans()):
            request.input.chat.tool_choice.mode = draw(st.sampled_from(tool_pb2.ToolChoiceMode.values()))
    for name in draw(st.sets(st.sampled_from(["temperature", "top_p", "min_p", "repetition_penalty"]))):
        setattr(request.sampling, name, draw(NUMBERS))
    request.sampling.logit_bias.update(draw(st.dictionaries(st.integers(0, 2**32 - 1), NUMBERS, max_size=2)))
    request.sampling.stop.extend(draw(st.lists(TEXTS, max_size=2)))
    request.sampling.top_k = draw(st.sampled_from([0, 1, 99_999, 2**32 - 1]))
    request.sampling.prompt_logprobs = request.sampling.logprobs = draw(st.booleans())
    form = request.constraint.response_format
    match draw(st.integers(0, 5)):
        case 1:
            form.regex = draw(TEXTS)
        case 2:
            form.grammar = draw(TEXTS | st.sampled_from(["start: start", "root ::= root", "root ::= ["]))
        case 3:
            form.choice.choices.extend(draw(st.lists(TEXTS, max_size=3)))
        case 4:
            form.json_schema.schema_json = draw(
                st.sampled_from(
                    ["", "7", "true", "[]", "{}", '{"$ref": "#"}', '{"type": ["string", 1]}', "{" * 5000]
                )
            )
            form.json_schema.name = "any"
    request.context.priority = draw(st.integers(0, 10))
    return request


@pytest.mark.asyncio(loop_scope="session")
async def test_any_request_is_answered_or_refused_and_the_next_one_is_answered(client: Client) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(request=requests())
    def knock(request: inference_service_pb2.GenerateRequest) -> None:
        code = asyncio.run_coroutine_threadsafe(_outcome(client, request), loop).result(60)
        assert code is None or code in REFUSALS, code

    await asyncio.to_thread(knock)
    assert "Paris" in (await client.answer("The capital of France is", max_tokens=4, **GREEDY)).text
    await _nothing_runs(client)


async def _outcome(client: Client, request: inference_service_pb2.GenerateRequest) -> grpc.StatusCode | None:
    try:
        async for _ in client.stream(request):
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


async def test_an_urgent_request_overtakes_and_the_patient_one_says_what_it_would_have_said(
    inference_settings: Callable, serve: Callable
) -> None:
    model = SMOLLM2.model_copy(update={"slots": 1, "context_tokens": 512, "prefill_chunk_tokens": 32})
    async with serve(inference_settings(models=(model,))) as client:
        await client.loaded()
        parameters = {"max_tokens": 120, "ignore_eos": True, "seed": 3, "temperature": 1.0, "top_p": 0.9}
        prompt = "The keeper of the lighthouse " * 9
        alone = await client.answer(prompt, **parameters)
        request = generate_request(prompt, **parameters)
        request.context.priority = 9
        text, urgent = "", None
        async for response in client.stream(request):
            text += response.delta.text
            if urgent is None and len(text) > 20:
                hurry = generate_request("Quick:", max_tokens=3, ignore_eos=True)
                hurry.context.priority = 1
                urgent = asyncio.create_task(_outcome(client, hurry))
        assert await urgent is None
        assert client.metric("preempted_total") == 1
        assert text == alone.text


@pytest.mark.asyncio(loop_scope="session")
async def test_callers_who_come_and_hang_up_leave_no_memory_behind(client: Client) -> None:
    dice = random.Random(20261121)
    await _crowd(client, dice, callers=20)  # every shape of step has been seen, every slot written
    before = _resident_bytes()
    for _ in range(3):
        await _crowd(client, dice, callers=20)
    assert _resident_bytes() - before < 24 << 20
    await _nothing_runs(client)


async def _crowd(client: Client, dice: random.Random, callers: int) -> None:
    """Ask in all ways at once; a third hang up in the middle."""

    async def ask() -> None:
        prompt = " ".join(
            dice.choice(["sea", "light", "keeper", "storm"]) for _ in range(dice.randint(1, 90))
        )
        request = generate_request(
            prompt, n=dice.randint(1, 2), max_tokens=dice.randint(1, 8), logprobs=dice.random() < 0.3
        )
        if dice.random() < 0.3:
            request.constraint.response_format.json_object.SetInParent()
        stream, patience = client.stream(request), dice.choice([1, 2, 99, 99, 99])
        try:
            async for _ in stream:
                patience -= 1
                if not patience:
                    stream.cancel()
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            pass

    await asyncio.gather(*(ask() for _ in range(callers)))


async def _nothing_runs(client: Client) -> None:
    await until(lambda: not client.metric("running") and not client.metric("waiting"))


def _resident_bytes() -> int:
    gc.collect()
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"^Rss: +(\d+) kB", rollup, re.MULTILINE)[1]) << 10
