"""The spans of the edge, and how what is behind it hangs below them."""

from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from edge_fakes import FakeRouter
from edge_process import Edge, running_edge
from penstock.router.v1 import (
    chat_completion_pb2,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    chat_message_pb2,
)
from servicekit.server import Running
from testkit.collector import Collector, running_collector
from testkit.process import free_port
from testkit.waiting import SECONDS_MAX, until

CHAT = "/v1/chat/completions"
HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as started:
        yield started


@pytest.fixture(scope="module")
def traced_edge(
    collector: Collector, router_port: int, gateway_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PENSTOCK_OTLP_ENDPOINT", collector.address)
        directory = tmp_path_factory.mktemp("traced")
        with running_edge(f"127.0.0.1:{router_port}", gateway_program, directory) as started:
            yield started


async def test_a_rest_request_hangs_below_its_caller_and_what_is_behind_below_the_edge(
    traced_edge: Edge, router: Running, fake_router: FakeRouter, collector: Collector
) -> None:
    async with traced_edge.client() as client:
        answer = await client.post(CHAT, json=HELLO, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    assert answer.headers["x-trace-id"] == TRACE
    spans = await until(lambda: len(found := collector.of_trace(TRACE)) == 2 and found)
    served, called = sorted(spans, key=lambda span: span.parent != CALLER)
    assert (served.service, served.parent, called.parent) == ("edge", CALLER, served.id)
    assert "gateway" in called.name
    assert fake_router.contexts[0].traceparent[3:35] == TRACE


async def test_a_grpc_caller_without_a_trace_gets_one_that_the_edge_begins(
    traced_edge: Edge, router: Running, fake_router: FakeRouter, collector: Collector
) -> None:
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text="hello")
    parameters = chat_completion_pb2.ChatCompletionParameters(model="tiny", messages=[message])
    async with grpc.aio.insecure_channel(traced_edge.grpc) as channel:
        stub = chat_completion_service_pb2_grpc.ChatCompletionServiceStub(channel)
        request = chat_completion_service_pb2.CreateChatCompletionRequest(parameters=parameters)
        await stub.CreateChatCompletion(
            request, metadata=(("authorization", "Bearer psk_right"),), timeout=SECONDS_MAX
        )
    trace = fake_router.contexts[0].traceparent[3:35]
    spans = await until(lambda: len(found := collector.of_trace(trace)) == 2 and found)
    assert {span.parent for span in spans} - {span.id for span in spans} == {""}


async def test_without_the_collector_the_edge_answers_as_ever(
    router: Running, gateway_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_OTLP_ENDPOINT", f"127.0.0.1:{free_port()}")
    with running_edge(router.address, gateway_program, tmp_path) as edge:
        async with edge.client() as client:
            for _ in range(3):
                assert (await client.post(CHAT, json=HELLO)).status_code == 200


async def test_what_is_not_sampled_is_told_so_and_a_callers_own_decision_is_kept(
    router: Running,
    fake_router: FakeRouter,
    gateway_program: Path,
    tmp_path: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PENSTOCK_OTLP_ENDPOINT", collector.address)
    monkeypatch.setenv("PENSTOCK_EDGE_TRACE_PERCENT", "0")
    with running_edge(router.address, gateway_program, tmp_path) as edge:
        async with edge.client() as client:
            for headers in ({}, {"traceparent": f"00-{TRACE}-{CALLER}-01"}):
                assert (await client.post(CHAT, json=HELLO, headers=headers)).status_code == 200
    assert [context.traceparent[-2:] for context in fake_router.contexts] == ["00", "01"]
