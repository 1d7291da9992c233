import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import StringValue
from penstock.session.v1 import session_service_pb2, session_service_pb2_grpc
from servicekit.errors import from_status
from servicekit.server import Running, Service, running
from servicekit.session import REQUEST_BYTES_MAX
from testkit.waiting import SECONDS_MAX, until

UNARY = "/test.Echo/Unary"


class Session:
    """The caller's side of a session, by hand."""

    def __init__(self, stream) -> None:
        self.stream = stream
        self.answers: dict[int, session_service_pb2.Answer] = {}
        self.messages = 0

    async def send(self, *calls: session_service_pb2.Call, cancelled: tuple[int, ...] = ()) -> None:
        await self.stream.write(session_service_pb2.ConnectRequest(calls=calls, cancelled_ids=cancelled))

    async def receive(self) -> session_service_pb2.ConnectResponse:
        async with asyncio.timeout(SECONDS_MAX):
            message = await self.stream.read()
        if message is not grpc.aio.EOF:
            self.messages += 1
            self.answers |= {answer.id: answer for answer in message.answers}
        return message

    async def receive_all(self, count: int) -> None:
        while len(self.answers) < count:
            await self.receive()

    def text(self, call_id: int) -> str:
        return StringValue.FromString(self.answers[call_id].response).value

    def reason(self, call_id: int) -> str:
        return from_status(self.answers[call_id].status).reason


def call(number: int, text: str = "a", method: str = UNARY, **fields) -> session_service_pb2.Call:
    request = StringValue(value=text).SerializeToString()
    return session_service_pb2.Call(id=number, method=method, request=request, **fields)


@asynccontextmanager
async def opened(channel: grpc.aio.Channel) -> AsyncIterator[Session]:
    stream = session_service_pb2_grpc.SessionServiceStub(channel).Connect()
    try:
        yield Session(stream)
    finally:
        stream.cancel()


async def test_the_calls_of_a_message_are_answered_each_under_its_id(grpc_channel) -> None:
    async with opened(grpc_channel) as session:
        await session.send(*(call(number, f"text {number}") for number in range(1, 51)))
        await session.receive_all(50)
    assert [session.text(number) for number in range(1, 51)] == [f"text {number}" for number in range(1, 51)]
    assert session.messages < 50


async def test_a_call_runs_in_the_context_that_its_frame_names(grpc_channel, grpc_servicer) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    names = [
        session_service_pb2.Metadatum(key="x-request-id", value="r-17"),
        session_service_pb2.Metadatum(key="traceparent", value=trace),
    ]
    async with opened(grpc_channel) as session:
        await session.send(call(1, metadata=names, timeout=Duration(seconds=3)), call(2))
        await session.receive_all(2)
    first, second = grpc_servicer.contexts
    assert (first.request_id, first.traceparent[:36]) == ("r-17", trace[:36])
    assert first.remaining_seconds() <= 3
    assert second.request_id != "r-17"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (call(1, "missing"), "MODEL_NOT_FOUND"),
        (call(1, "bug"), "INTERNAL"),
        (call(1, method="/test.Echo/Nothing"), "METHOD_NOT_FOUND"),
        (call(1, method="/test.Echo/UnaryStream"), "METHOD_NOT_FOUND"),
        (call(1, method="no path"), "METHOD_NOT_FOUND"),
        (session_service_pb2.Call(id=1, method=UNARY, request=b"\xff"), "MALFORMED_REQUEST"),
        (
            session_service_pb2.Call(id=1, method=UNARY, request=b"x" * (REQUEST_BYTES_MAX + 1)),
            "INVALID_ARGUMENT",
        ),
    ],
)
async def test_a_call_that_fails_fails_alone(grpc_channel, made, reason: str) -> None:
    async with opened(grpc_channel) as session:
        await session.send(made, call(2))
        await session.receive_all(2)
    assert session.reason(1) == reason
    assert session.text(2) == "a"


async def test_an_abort_by_hand_keeps_its_code(grpc_channel) -> None:
    async with opened(grpc_channel) as session:
        await session.send(call(1, "abort"))
        await session.receive_all(1)
    status = session.answers[1].status
    assert (status.code, status.message) == (grpc.StatusCode.ABORTED.value[0], "by hand")


async def test_a_cancelled_call_ends_in_order_though_its_session_breaks_meanwhile(
    grpc_channel, grpc_servicer, grpc_server: Running
) -> None:
    async with opened(grpc_channel) as session:
        await session.send(call(1, "wait"))
        await grpc_servicer.started.wait()
        await session.send(call(2), cancelled=(1, 99))
        await session.receive_all(1)
        assert session.text(2) == "a"
    assert await grpc_server.in_flight.wait_idle(SECONDS_MAX)
    assert grpc_servicer.finished == ["unary"]


async def test_a_session_that_breaks_cancels_what_runs_on_it(
    grpc_channel, grpc_servicer, grpc_server: Running
) -> None:
    async with opened(grpc_channel) as session:
        await session.send(call(1, "wait"))
        await grpc_servicer.started.wait()
        assert len(grpc_server.in_flight) == 1
    assert await grpc_server.in_flight.wait_idle(SECONDS_MAX)
    assert grpc_servicer.finished == ["unary"]


async def test_a_caller_that_closes_its_side_gets_every_answer_first(grpc_channel, grpc_servicer) -> None:
    async with opened(grpc_channel) as session:
        await session.send(call(1, "wait"))
        await grpc_servicer.started.wait()
        await session.stream.done_writing()
        grpc_servicer.release.set()
        await session.receive_all(1)
        assert await session.receive() is grpc.aio.EOF
    assert session.text(1) == "wait"


async def test_a_server_that_stops_says_so_and_answers_what_was_sent(
    grpc_service: Service, grpc_servicer
) -> None:
    async with running(grpc_service) as server:
        channel = grpc.aio.insecure_channel(server.address)
        session = Session(session_service_pb2_grpc.SessionServiceStub(channel).Connect())
        await session.send(call(1, "wait"))
        await grpc_servicer.started.wait()

        async def caller() -> None:
            while not (await session.receive()).draining:
                pass
            await session.send(call(2))  # sent before it was heard
            await session.stream.done_writing()
            grpc_servicer.release.set()
            await session.receive_all(2)

        hearing = asyncio.create_task(caller())
    await hearing
    await channel.close()
    assert (session.text(1), session.text(2)) == ("wait", "a")


async def test_a_process_takes_no_more_calls_than_it_may(
    service_settings, grpc_add_to_server, grpc_servicer
) -> None:
    settings = service_settings.model_copy(update={"concurrent_rpcs_max": 1})
    service = Service(settings, [(grpc_add_to_server, grpc_servicer)])
    async with running(service) as server, grpc.aio.insecure_channel(server.address) as channel:
        async with opened(channel) as session:
            await session.send(call(1, "wait"))
            await grpc_servicer.started.wait()
            await session.send(call(2))
            await session.receive_all(1)
            assert session.reason(2) == "OVERLOADED"
            grpc_servicer.release.set()
            await session.receive_all(2)
        assert session.text(1) == "wait"


async def test_calls_are_counted_like_rpcs(grpc_channel, grpc_service: Service) -> None:
    async with opened(grpc_channel) as session:
        await session.send(call(1), call(2, "missing"))
        await session.receive_all(2)
    sample = grpc_service.metrics.registry.get_sample_value
    await until(lambda: sample("penstock_rpcs_total", {"method": UNARY, "code": "OK"}) == 1)
    await until(lambda: sample("penstock_rpcs_total", {"method": UNARY, "code": "NOT_FOUND"}) == 1)
    assert sample("penstock_session_items_count", {"direction": "calls"}) == 1
