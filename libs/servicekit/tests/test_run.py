"""A service as a process: its exit codes, its signals, its drain under load."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from servicekit.channel import connect
from servicekit.context import outgoing
from servicekit.errors import from_rpc_error
from testkit.process import ChildProcess, free_port
from testkit.waiting import SECONDS_MAX, until

PROGRAM = """
import asyncio, os, sys
from contextlib import asynccontextmanager
from typing import ClassVar

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from servicekit.server import Service, run
from servicekit.settings import ServiceSettings, grpc_port_default


class Settings(ServiceSettings):
    service: ClassVar[str] = "echo"
    grpc_port: int = grpc_port_default(50099)
    start_seconds: float = 0


async def unary(request, context):
    print("accepted", flush=True)
    try:
        await asyncio.sleep(0.02)
        return request
    finally:
        await asyncio.sleep(0.01)
        print("finished", flush=True)


def add(_servicer, server):
    codec = dict(request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString)
    handlers = {"Unary": grpc.unary_unary_rpc_method_handler(unary, **codec)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


@asynccontextmanager
async def build(settings):
    print("building", flush=True)
    await asyncio.sleep(settings.start_seconds)
    try:
        yield Service(settings, [(add, None)])
    finally:
        print("closed", flush=True)


run(build, Settings)
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def program(tmp_path: Path, port: int) -> Iterator[ChildProcess]:
    with started(tmp_path / "log", port) as child:
        yield child


def started(log: Path, port: int, **env: str) -> ChildProcess:
    variables = {
        "PENSTOCK_ECHO_GRPC_PORT": str(port),
        "PENSTOCK_ECHO_HTTP_PORT": "0",
        "PENSTOCK_LOG_FORMAT": "json",
    }
    return ChildProcess([sys.executable, "-c", PROGRAM], log, env=variables | env)


def said(child: ChildProcess, word: str) -> int:
    return child.output().split("\n").count(word)


async def until_said(child: ChildProcess, word: str) -> None:
    await until(lambda: word in child.output() or child.returncode is not None)
    assert word in child.output()


def unary(channel: grpc.aio.Channel):
    return channel.unary_unary(
        "/test.Echo/Unary",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )


async def test_sigterm_under_load_loses_no_request_that_was_accepted(
    program: ChildProcess, port: int
) -> None:
    answered, refused = 0, []

    async def client() -> None:
        nonlocal answered
        async with connect(f"127.0.0.1:{port}") as channel:
            call = unary(channel)
            while program.returncode is None:
                try:
                    await call(StringValue(value="a"), **outgoing(SECONDS_MAX, wait_for_ready=False))
                    answered += 1
                except grpc.aio.AioRpcError as error:
                    # A stop may meet a call between arrival and beginning; gRPC then says CANCELLED and nothing
                    # more, which every client of ours reads as: not begun, try again.
                    refused.append(from_rpc_error(error).code)
                    await asyncio.sleep(0.01)

    await asyncio.to_thread(program.wait_for_port, port)
    clients = [asyncio.create_task(client()) for _ in range(16)]
    await until(lambda: answered >= 50)
    program.terminate()
    assert await asyncio.to_thread(program.wait) == 0
    await asyncio.gather(*clients)
    assert said(program, "accepted") == said(program, "finished") == answered
    assert set(refused) <= {grpc.StatusCode.UNAVAILABLE}
    assert said(program, "closed") == 1


async def test_a_channel_finds_its_peer_again_after_a_kill(tmp_path: Path, port: int) -> None:
    async with connect(f"127.0.0.1:{port}") as channel:
        for life in range(2):
            with started(tmp_path / f"log-{life}", port) as child:
                assert (await unary(channel)(StringValue(value="a"), **outgoing(SECONDS_MAX))).value == "a"
                child.kill()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unary(channel)(StringValue(value="a"), **outgoing(SECONDS_MAX, wait_for_ready=False))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_service_exits_0_on(program: ChildProcess, port: int, number: signal.Signals) -> None:
    await asyncio.to_thread(program.wait_for_port, port)
    await until_said(program, '"started"')
    program.signal(number)
    assert await asyncio.to_thread(program.wait) == 0
    assert said(program, "closed") == 1
    assert '"stopped"' in program.output()


async def test_a_signal_while_it_starts_ends_the_start(tmp_path: Path, port: int) -> None:
    with started(tmp_path / "log", port, PENSTOCK_ECHO_START_SECONDS="60") as child:
        await until_said(child, "building")
        child.terminate()
        assert await asyncio.to_thread(child.wait) == 1


async def test_every_thread_runs_under_sched_batch(program: ChildProcess, port: int) -> None:
    await asyncio.to_thread(program.wait_for_port, port)
    assert program.scheduling() == {os.SCHED_BATCH}


async def test_scheduling_can_be_left_alone(tmp_path: Path, port: int) -> None:
    with started(tmp_path / "log", port, PENSTOCK_SCHED_BATCH="false") as child:
        await asyncio.to_thread(child.wait_for_port, port)
        assert os.sched_getscheduler(child.pid) == os.SCHED_OTHER


async def test_a_port_in_use_is_a_line_for_people_and_exit_code_2(
    program: ChildProcess, tmp_path: Path, port: int
) -> None:
    await asyncio.to_thread(program.wait_for_port, port)
    with started(tmp_path / "second", port) as second:
        assert await asyncio.to_thread(second.wait) == 2
        assert f"cannot listen on 127.0.0.1:{port}" in second.output()
        assert "Set PENSTOCK_ECHO_GRPC_PORT" in second.output()
        assert "Traceback" not in second.output()


async def test_a_bad_setting_is_a_line_for_people_and_exit_code_2(tmp_path: Path, port: int) -> None:
    with started(tmp_path / "log", port, PENSTOCK_DRAIN_SECONDS="soon") as child:
        assert await asyncio.to_thread(child.wait) == 2
        assert child.output().startswith("bad setting PENSTOCK_DRAIN_SECONDS='soon': ")
        assert "building" not in child.output()
