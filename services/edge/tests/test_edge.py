"""REST and gRPC through Envoy and the gateway, as callers meet them."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import openai
import pytest
from edge_fakes import WORDS, FakeRouter
from edge_process import EDGE, Edge
from penstock.router.v1 import (
    chat_completion_pb2,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    chat_message_pb2,
)
from penstock.session.v1 import session_service_pb2_grpc
from testkit.process import ChildProcess, is_free
from testkit.waiting import SECONDS_MAX, until

CHAT = "/v1/chat/completions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def test_a_chat_is_answered_with_its_names_and_its_cost(edge: Edge, fake_router: FakeRouter) -> None:
    async with edge.client() as client:
        headers = {"x-request-id": "r-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await client.post(CHAT, json=ask("hello"), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "5 characters"
    assert answer.json()["penstock"]["cost_nanos"] == "1500"
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["x-trace-id"] == TRACE
    assert answer.headers["x-penstock-cache"] == "miss"
    assert fake_router.contexts[0].request_id == "r-1"
    assert fake_router.contexts[0].traceparent[3:35] == TRACE


async def test_a_request_has_one_id_and_one_trace_everywhere(own_edge: Edge, fake_router: FakeRouter) -> None:
    async with own_edge.client() as client:
        answer = await client.post(CHAT, json=ask("hello"))
    seen = fake_router.contexts[0]
    assert answer.headers["x-request-id"] == seen.request_id == answer.json()["penstock"]["request_id"]
    assert answer.headers["x-trace-id"] == seen.traceparent[3:35]
    own_edge.envoy.terminate()
    own_edge.envoy.wait()  # Envoy writes its log when it ends, at the latest
    line = json.loads(own_edge.access_log.read_text().splitlines()[-1])
    assert (line["request_id"], line["trace"]) == (seen.request_id, seen.traceparent[3:35])
    assert (line["code"], line["upstream"]) == (200, "gateway")


async def test_each_event_passes_the_edge_as_it_comes(edge: Edge, fake_router: FakeRouter) -> None:
    async with (
        edge.client() as client,
        client.stream("POST", CHAT, json=ask("slowly", stream=True)) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        events = (line async for line in answer.aiter_lines() if line)
        assert '"role":"assistant"' in await anext(events)
        for word in WORDS:  # the router goes on only after each was seen here
            assert word in await asyncio.wait_for(anext(events), SECONDS_MAX)
            fake_router.go_on.release()
        rest = [line async for line in events]
    assert '"finish_reason":"stop"' in rest[0]
    assert rest[-1] == "data: [DONE]"


async def test_a_stream_that_breaks_never_ends_clean(edge: Edge) -> None:
    async with edge.client() as client:
        answer = await client.post(CHAT, json=ask("break", stream=True))
    assert answer.status_code == 200
    last = answer.text.strip().splitlines()[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["reason"] == "STREAM_INTERRUPTED"
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_hangs_up_reaches_the_router(
    edge: Edge, fake_router: FakeRouter, stream: bool
) -> None:
    async with edge.client() as client:
        call = asyncio.create_task(client.post(CHAT, json=ask("wait", stream=stream)))
        await asyncio.wait_for(fake_router.waiting.wait(), SECONDS_MAX)
        call.cancel()
    await asyncio.wait_for(fake_router.cancelled.wait(), SECONDS_MAX)


async def test_a_body_of_3_mb_is_fine_and_one_of_40_mb_is_413(edge: Edge) -> None:
    async with edge.client() as client:
        fine = await client.post(CHAT, json=ask("x" * 3_000_000))
        assert fine.json()["choices"][0]["message"]["content"] == "3000000 characters"
        for content in (b"x" * 40_000_000, chunks(b"x" * 1_000_000, 40)):
            refused = await client.post(CHAT, content=content)
            assert refused.status_code == 413
            assert refused.json()["error"]["reason"] == "BODY_TOO_LARGE"


async def chunks(chunk: bytes, count: int) -> Any:
    for _ in range(count):
        yield chunk


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/metrics", 404, "METHOD_NOT_FOUND"),
        ("GET", "/v2/anything", 404, "METHOD_NOT_FOUND"),
        ("GET", CHAT, 405, "METHOD_NOT_ALLOWED"),
        ("POST", CHAT, 400, "MALFORMED_REQUEST"),
    ],
)
async def test_errors_have_one_shape_whoever_answers(
    edge: Edge, method: str, path: str, code: int, reason: str
) -> None:
    async with edge.client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == code
    error = answer.json()["error"]
    assert error["reason"] == reason
    assert error["request_id"] == answer.headers["x-request-id"]
    assert set(error) == {"message", "type", "param", "code", "reason", "request_id"}


async def test_a_router_that_is_down_is_a_503_that_says_so(edge_alone: Edge) -> None:
    async with edge_alone.client() as client:
        answer = await client.post(CHAT, json=ask("hello"))
        assert answer.status_code == 503
        assert answer.json()["error"]["reason"] == "DEPENDENCY_UNAVAILABLE"
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def test_grpc_callers_get_unavailable_when_the_router_is_down(edge_alone: Edge) -> None:
    async with grpc.aio.insecure_channel(edge_alone.grpc) as channel:
        stub = chat_completion_service_pb2_grpc.ChatCompletionServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.CreateChatCompletion(typed("hello"), timeout=SECONDS_MAX)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "{" not in str(error.value.details())


async def test_a_gateway_that_is_killed_is_a_503_and_back_when_it_is(
    own_edge: Edge, gateway_program: Path
) -> None:
    own_edge.gateway.kill()
    async with own_edge.client() as client:
        down = await client.post(CHAT, json=ask("hello"))
        assert down.status_code == 503
        assert down.json()["error"]["reason"] == "DEPENDENCY_UNAVAILABLE"
        call = asyncio.create_task(client.post(CHAT, json=ask("hello")))
        with ChildProcess(
            [str(gateway_program)], own_edge.access_log.with_name("again.out"), env=own_edge.environment
        ):
            assert (await call).status_code == 200  # Envoy went on trying to connect


async def test_native_grpc_passes_on_the_same_port(edge: Edge, fake_router: FakeRouter) -> None:
    metadata = (("authorization", "Bearer psk_right"), ("x-request-id", "r-9"))
    async with grpc.aio.insecure_channel(edge.grpc) as channel:
        stub = chat_completion_service_pb2_grpc.ChatCompletionServiceStub(channel)
        answer = await stub.CreateChatCompletion(typed("hello"), metadata=metadata, timeout=SECONDS_MAX)
        assert answer.chat_completion.choices[0].message.text == "5 characters"
        assert fake_router.contexts[0].request_id == "r-9"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.CreateChatCompletion(typed("refuse"), metadata=metadata, timeout=SECONDS_MAX)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" in dict(error.value.trailing_metadata() or ())


async def test_sessions_are_not_for_callers_outside(edge: Edge, fake_router: FakeRouter) -> None:
    async with grpc.aio.insecure_channel(edge.grpc) as channel:
        stream = session_service_pb2_grpc.SessionServiceStub(channel).Connect(timeout=SECONDS_MAX)
        assert await stream.code() is grpc.StatusCode.UNIMPLEMENTED
    assert fake_router.contexts == []


def typed(text: str) -> Any:
    message = chat_message_pb2.ChatMessage(role="CHAT_ROLE_USER", text=text)
    parameters = chat_completion_pb2.ChatCompletionParameters(model="m", messages=[message])
    return chat_completion_service_pb2.CreateChatCompletionRequest(parameters=parameters)


async def test_grpcurl_lists_checks_and_calls_through_the_edge(edge: Edge) -> None:
    program = shutil.which("grpcurl", path=f"{EDGE.parents[1]}/.tools/bin") or shutil.which("grpcurl")
    if program is None:
        pytest.skip("grpcurl is missing; make setup-test installs it")

    async def grpcurl(*arguments: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "-plaintext", *arguments],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=True,
        )
        return done.stdout

    assert "penstock.router.v1.ChatCompletionService" in await grpcurl(edge.grpc, "list")
    assert "SERVING" in await grpcurl(edge.grpc, "grpc.health.v1.Health/Check")
    request = json.dumps(
        {"parameters": {"model": "m", "messages": [{"role": "CHAT_ROLE_USER", "text": "hi"}]}}
    )
    method = "penstock.router.v1.ChatCompletionService/StreamChatCompletion"
    authorization = ("-H", "authorization: Bearer psk_right")
    assert "three" in await grpcurl(*authorization, "-d", request, edge.grpc, method)


async def test_the_openai_sdk_chats_streams_embeds_and_lists(edge: Edge) -> None:
    def call() -> None:
        with openai.OpenAI(base_url=f"{edge.url}/v1", api_key="psk_right", max_retries=0) as client:
            messages: Any = [{"role": "user", "content": "hello"}]
            answer = client.chat.completions.create(model="m", messages=messages)
            assert answer.choices[0].message.content == "5 characters"
            stream = client.chat.completions.create(
                model="m", messages=messages, stream=True, stream_options={"include_usage": True}
            )
            parts = list(stream)
            assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == "".join(WORDS)
            assert parts[-1].usage is not None
            assert parts[-1].usage.total_tokens == 6
            embeddings = client.embeddings.create(model="m", input=["a", "b"])  # asks for base64
            assert embeddings.data[1].embedding == [1.0, 0.5, -1.0]
            assert [model.id for model in client.models.list()] == ["m"]

    await asyncio.to_thread(call)


async def test_the_openai_sdk_raises_its_own_exceptions(edge: Edge) -> None:
    def call() -> None:
        with openai.OpenAI(base_url=f"{edge.url}/v1", api_key="psk_right", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as limited:
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "refuse"}])
            assert limited.value.code == "rate_limit_exceeded"
            with pytest.raises(openai.AuthenticationError) as unknown:
                client.with_options(api_key="psk_wrong").chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hello"}]
                )
            assert unknown.value.code == "invalid_api_key"
            with pytest.raises(openai.APIError, match="engine is gone"):
                list(
                    client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": "break"}], stream=True
                    )
                )

    await asyncio.to_thread(call)


@pytest.mark.parametrize("who", ["envoy", "gateway"])
async def test_sigterm_loses_no_open_request(own_edge: Edge, fake_router: FakeRouter, who: str) -> None:
    async with own_edge.client() as client:
        call = asyncio.create_task(client.post(CHAT, json=ask("slowly")))
        await asyncio.wait_for(fake_router.waiting.wait(), SECONDS_MAX)
        process, port = (
            (own_edge.envoy, own_edge.port) if who == "envoy" else (own_edge.gateway, own_edge.gateway_port)
        )
        process.terminate()
        await until(lambda: is_free(port))  # it takes nothing new any more
        fake_router.go_on.release()
        assert (await call).status_code == 200
    assert await asyncio.to_thread(process.wait) == 0


async def test_the_gateway_restarts_under_load_without_a_failed_request(
    own_edge: Edge, gateway_program: Path
) -> None:
    codes: list[int] = []
    stop = asyncio.Event()

    async def caller() -> None:
        async with own_edge.client() as client:
            while not stop.is_set():
                codes.append((await client.post(CHAT, json=ask("hello"))).status_code)

    callers = [asyncio.create_task(caller()) for _ in range(16)]
    await until(lambda: len(codes) >= 50)
    own_edge.gateway.terminate()
    assert await asyncio.to_thread(own_edge.gateway.wait) == 0
    log = own_edge.access_log.with_name("again.out")
    with ChildProcess([str(gateway_program)], log, env=own_edge.environment):
        before = len(codes)
        await until(lambda: len(codes) >= before + 50)  # the new one answers
        stop.set()
        await asyncio.gather(*callers)
    assert set(codes) == {200}


async def test_killing_the_edges_program_leaves_no_envoy_behind(own_edge: Edge) -> None:
    own_edge.envoy.kill()
    await until(lambda: is_free(own_edge.port))


async def test_a_port_in_use_names_the_setting(edge: Edge, gateway_program: Path) -> None:
    for program, setting in (
        ([sys.executable, str(EDGE / "envoy" / "edge.py")], "PENSTOCK_EDGE_PORT"),
        ([str(gateway_program)], "PENSTOCK_GATEWAY_HTTP_PORT"),
    ):
        done = await asyncio.to_thread(
            subprocess.run,
            program,
            env=edge.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 1
        assert setting in done.stderr


async def test_every_thread_runs_under_sched_batch(edge: Edge) -> None:
    for process in (edge.gateway, edge.envoy):
        assert process.scheduling() == {os.SCHED_BATCH}


async def test_more_than_1024_streams_are_open_at_a_time(edge: Edge, fake_router: FakeRouter) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for our own ends of them
    body = json.dumps(ask("slowly", stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer psk_right\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def opened() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(request)
        await asyncio.wait_for(reader.readuntil(b"one "), SECONDS_MAX)  # the first word: the stream is open
        return writer

    writers = [writer for _ in range(11) for writer in await asyncio.gather(*(opened() for _ in range(100)))]
    assert len(writers) == 1100
    for writer in writers:
        writer.close()
