"""The HTTP provider against a real HTTP server: what it sends, what it makes of answers, and of faults."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from aiohttp import web
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, tool_pb2
from penstock_router.breaker import FAILURES_MAX
from router_world import AUTHORIZED, Create, Upstream, World, ask, refusal, stream, text_of
from testkit.waiting import SECONDS_MAX, until

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}


def answer(**choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Paris."}
    whole = {"index": 0, "message": message, "finish_reason": "stop"} | choice
    return {"id": "x", "object": "chat.completion", "choices": [whole], "usage": USAGE}


def says(body: Any, status: int = 200) -> Any:
    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return handle


def streams(*pieces: bytes, cut: bool = False) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.01)
        if cut:
            assert request.transport is not None
            request.transport.close()  # without the last chunk; a reset could overtake what was said
        return response

    return handle


def event(delta: dict[str, Any], reason: str | None = None, usage: Any = None, end: str = "\n\n") -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return ("data: " + json.dumps({"choices": choices, "usage": usage}) + end).encode()


async def test_the_providers_own_count_is_what_is_charged(world: World, upstream: Upstream) -> None:
    upstream.handler = says(answer())
    completion = await ask(world, model="gpt")
    assert completion.choices[0].message.text == "Paris."
    assert completion.receipt.cost_nanos == 7 * 1 + 7 * 2
    (attempt,) = (await world.billing.only_settlement()).attempts
    assert (attempt.tokens.input, attempt.tokens.cache_read, attempt.tokens.output) == (7, 4, 7)
    assert not attempt.estimated


async def test_the_request_is_openais(world: World, upstream: Upstream) -> None:
    upstream.handler = says(answer())
    schema = '{"type":"object","properties":{"z":{},"a":{}}}'
    await ask(
        world,
        model="gpt",
        temperature=0,
        stop=["END"],
        tools=[tool_pb2.Tool(function=tool_pb2.FunctionDefinition(name="look", parameters_json=schema))],
        tool_choice=tool_pb2.ToolChoice(function_name="look"),
    )
    (body,) = upstream.bodies
    assert body["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert body["temperature"] == 0
    assert body["stop"] == ["END"]
    assert list(body["tools"][0]["function"]["parameters"]["properties"]) == ["z", "a"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert "top_p" not in body


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ({"regex": "a+"}, {"regex": "a+"}),
        ({"grammar": "root ::= A"}, {"grammar": "root ::= A"}),
        ({"choice": {"choices": ["a", "b"]}}, {"choice": ["a", "b"]}),
    ],
)
async def test_a_form_that_openai_has_not_is_asked_for_as_vllm_has_it(
    world: World, upstream: Upstream, form: Any, written: Any
) -> None:
    upstream.handler = says(answer())
    await ask(world, model="gpt", response_format=tool_pb2.ResponseFormat(**form))
    (body,) = upstream.bodies
    assert body["structured_outputs"] == written
    assert "response_format" not in body


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
async def test_crlf_sse_usage_counted(world: World, upstream: Upstream, end: str) -> None:
    """envoyproxy/ai-gateway#2463: usage is found whatever ends the lines and wherever the pieces are cut."""
    done = f"data: [DONE]{end}".encode()
    whole = event({"content": "Pa"}, end=end) + event({"content": "ris."}, "stop", USAGE, end=end) + done
    upstream.handler = streams(*(whole[i : i + 7] for i in range(0, len(whole), 7)))
    chunks = await stream(world, model="gpt")
    assert text_of(chunks) == "Paris."
    (attempt,) = (await world.billing.only_settlement()).attempts
    assert attempt.tokens.output == 7


async def test_stream_is_faithful_to_tool_calls(world: World, upstream: Upstream) -> None:
    """BerriAI/litellm#38926: calls that come in pieces, and two beside each other, stay what they were."""

    def part(index: int, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index} | more]}

    upstream.handler = streams(
        event(part(0, id="a", function={"name": "look", "arguments": '{"x"'})),
        event(part(1, id="b", function={"name": "find", "arguments": "{}"})),
        event(part(0, function={"arguments": ": 1}"})),
        event({}, "tool_calls"),
        b"data: [DONE]\n\n",
    )
    chunks = await stream(world, model="gpt")
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.tool_calls]
    assert [(c.id, c.name, c.arguments) for c in calls] == [("a", "look", '{"x": 1}'), ("b", "find", "{}")]


@pytest.mark.parametrize(
    "handler",
    [
        says({"choices": [{"nonsense": 1}]}),
        says({"error": {"message": "no"}}),
        says([]),
        says("x", status=503),
        says("x", status=429),
        says("x", status=401),
    ],
)
async def test_a_fault_of_the_endpoint_is_no_fault_of_the_request(
    world: World, upstream: Upstream, handler: Any
) -> None:
    upstream.handler = handler
    error = await refusal(ask(world, model="gpt"))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE")
    await asyncio.wait_for(world.billing.closed.wait(), SECONDS_MAX)
    assert len(world.billing.released) == 1
    assert not world.billing.settled


async def test_what_the_provider_calls_invalid_is_said_and_not_tried_elsewhere(
    world: World, upstream: Upstream
) -> None:
    upstream.handler = says({"error": {"message": "no such parameter"}}, status=400)
    error = await refusal(ask(world, model="both"))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PROVIDER_REJECTED")
    assert "no such parameter" in error.metadata["message"]
    assert not world.inference.prompts


async def test_stream_fault_reaches_fallback(world: World, upstream: Upstream) -> None:
    """BerriAI/litellm#40404: a stream that is cut before it said anything is answered by the next endpoint."""
    upstream.handler = streams(b": hello\n\n", cut=True)
    chunks = await stream(world, model="both")
    assert text_of(chunks) == "The capital is Paris."
    assert chunks[-1].receipt.attempts == 2


async def test_a_stream_that_just_stops_is_not_a_clean_end(world: World, upstream: Upstream) -> None:
    upstream.handler = streams(event({"content": "Pa"}))
    call = stream(world, model="both")
    error = await refusal(call)
    assert error.reason == "STREAM_INTERRUPTED"


async def test_what_was_said_before_a_cut_is_charged_and_flagged(world: World, upstream: Upstream) -> None:
    upstream.handler = streams(event({"content": "Pa"}), event({"content": "ris"}), cut=True)
    await refusal(stream(world, model="gpt"))
    (attempt,) = (await world.billing.only_settlement()).attempts
    assert attempt.tokens.output == 2
    assert attempt.estimated


async def test_after_failures_in_a_row_an_endpoint_is_left_alone(world: World, upstream: Upstream) -> None:
    upstream.handler = says("x", status=500)
    for number in range(FAILURES_MAX):
        await refusal(ask(world, model="gpt"))
        assert upstream.requests == number + 1

    async def is_left_alone() -> bool:
        before = upstream.requests
        await refusal(ask(world, model="gpt"))
        return upstream.requests == before

    await until(is_left_alone)  # at once, unless its time is over already on a very slow machine


async def test_images_go_to_models_that_see(world: World, upstream: Upstream) -> None:
    upstream.handler = says(answer())
    image = chat_message_pb2.ContentPart(image_url=chat_message_pb2.ImageUrl(url="data:image/png;base64,AA"))
    text = chat_message_pb2.ContentPart(text="What is it?")
    message = chat_message_pb2.ChatMessage(
        role=chat_message_pb2.CHAT_ROLE_USER, parts=chat_message_pb2.ContentParts(parts=[text, image])
    )
    more = {"messages": [message]}
    asked = chat_completion_pb2.ChatCompletionParameters(model="gpt", **more)
    await world.chat.CreateChatCompletion(Create(parameters=asked), metadata=AUTHORIZED)
    assert upstream.bodies[0]["messages"][0]["content"][1]["image_url"] == {"url": "data:image/png;base64,AA"}
    asked.model = "smollm2"
    error = await refusal(world.chat.CreateChatCompletion(Create(parameters=asked), metadata=AUTHORIZED))
    assert error.reason == "UNSUPPORTED_FEATURE"
