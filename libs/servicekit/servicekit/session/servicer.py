"""Running the calls that a session brings.

What gRPC gives an RPC - metadata, deadline, cancellation, a status - travels in each call's frame, and a call runs
inside of the same interceptor as an RPC would. One message brings several calls, so that what they ask of peers
travels together too.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from penstock.session.v1 import session_service_pb2, session_service_pb2_grpc

from servicekit.errors import (
    INTERNAL_MESSAGE,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unimplemented,
)
from servicekit.in_flight import InFlight
from servicekit.logging import get_logger
from servicekit.metrics import ITEMS_BUCKETS, Metrics
from servicekit.session import REQUEST_BYTES_MAX
from servicekit.session.call_context import CallContext

Call = session_service_pb2.Call
Handler: TypeAlias = Any  # grpc.RpcMethodHandler, whose type does not say which shape it has
FindHandler = Callable[[str], Handler | None]

RESPONSE_BYTES_SOFT_MAX = 8 * 1024 * 1024  # of a message; one answer goes whatever its size

log = get_logger(__name__)


class SessionServicer(session_service_pb2_grpc.SessionServiceServicer):
    """SessionService: calls of this process's own methods.

    Args:
        find: gives the handler of a method, with the interceptor around it.
        in_flight: counts the calls, and tells when the process is about to stop.
        calls_max: how many may run at a time in the process.
        metrics: where `penstock_session_items` (calls per message) is observed.
    """

    def __init__(self, find: FindHandler, in_flight: InFlight, calls_max: int, metrics: Metrics) -> None:
        self._find = find
        self._in_flight = in_flight
        self._calls_max = calls_max
        items = metrics.histogram(
            "session_items", "Calls or answers per message of a session.", ["direction"], ITEMS_BUCKETS
        )
        self._observe_calls = items.labels("calls").observe
        self._observe_answers = items.labels("answers").observe

    async def Connect(  # type: ignore[override]
        self, requests: AsyncIterator[session_service_pb2.ConnectRequest], context: Any
    ) -> None:
        """Answer calls until the caller closes its side, or is gone."""
        answers = _Answers()
        calls: dict[int, asyncio.Task[None]] = {}
        writing = asyncio.create_task(self._write(answers, context))
        draining = asyncio.create_task(self._tell_draining(answers))
        try:
            async for request in requests:
                self._observe_calls(len(request.calls))
                for call in request.calls:
                    calls[call.id] = task = asyncio.create_task(self._answer(call, answers))
                    task.add_done_callback(partial(_forget, calls, call.id))
                _cancel(calls[call_id] for call_id in request.cancelled_ids if call_id in calls)
            if calls:
                await asyncio.wait(calls.values())
            answers.end()
            await writing
        finally:
            ending = [*calls.values(), writing, draining]
            _cancel(ending)
            await asyncio.wait(ending)

    async def _answer(self, call: Call, answers: "_Answers") -> None:
        """Run one call and queue its answer; one that is cancelled has none."""
        context = CallContext(call)
        try:
            handler = self._handler(call)
            request = _parse(handler, call.request)
            response = handler.response_serializer(await handler.unary_unary(request, context))
        except grpc.aio.AbortError:
            answers.put(call.id, b"", context.status)
        except ServiceError as error:
            answers.put(call.id, b"", error.to_status())
        except Exception:
            log.exception("session_call_failed", method=call.method)
            answers.put(call.id, b"", Internal("INTERNAL", INTERNAL_MESSAGE).to_status())
        else:
            answers.put(call.id, response, None)

    def _handler(self, call: Call) -> Handler:
        handler = self._find(call.method)
        if handler is None or handler.unary_unary is None:
            raise Unimplemented("METHOD_NOT_FOUND", "No unary method has that name.")
        if len(self._in_flight) >= self._calls_max:
            raise ResourceExhausted(
                "OVERLOADED", "Too many calls run already.", metadata={"limit": str(self._calls_max)}
            )
        return handler

    async def _write(self, answers: "_Answers", context: Any) -> None:
        async for response in answers.messages():
            self._observe_answers(len(response.answers))
            await context.write(response)

    async def _tell_draining(self, answers: "_Answers") -> None:
        await self._in_flight.draining.wait()
        answers.drain()


class _Answers:
    """Answers that are ready to be sent, taken together."""

    def __init__(self) -> None:
        self._ready: deque[tuple[int, bytes, status_pb2.Status | None]] = deque()
        self._changed = asyncio.Event()
        self._draining = False
        self._ended = False

    def put(self, call_id: int, response: bytes, status: status_pb2.Status | None) -> None:
        self._ready.append((call_id, response, status))
        self._changed.set()

    def drain(self) -> None:
        self._draining = True
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def messages(self) -> AsyncIterator[session_service_pb2.ConnectResponse]:
        """Give message after message until the end."""
        while self._ready or not self._ended:
            await self._changed.wait()
            self._changed.clear()
            while self._ready or self._draining:
                yield self._take()

    def _take(self) -> session_service_pb2.ConnectResponse:
        message = session_service_pb2.ConnectResponse(draining=self._draining)
        self._draining = False
        size = 0
        while self._ready and (size == 0 or size + len(self._ready[0][1]) <= RESPONSE_BYTES_SOFT_MAX):
            call_id, response, status = self._ready.popleft()
            message.answers.add(id=call_id, response=response, status=status)
            size += len(response) + 1
        return message


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel each once: a second time would break into its `finally` blocks."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()


def _forget(calls: dict[int, asyncio.Task[None]], call_id: int, _ended: asyncio.Task[None]) -> None:
    del calls[call_id]


def _parse(handler: Handler, request: bytes) -> Any:
    if len(request) > REQUEST_BYTES_MAX:
        raise InvalidArgument("INVALID_ARGUMENT", f"A session takes requests of {REQUEST_BYTES_MAX} bytes.")
    try:
        return handler.request_deserializer(request)
    except DecodeError:
        raise InvalidArgument("MALFORMED_REQUEST", "The request is not a message of its type.") from None
