"""A channel whose unary calls travel on one stream.

A generated stub takes a `SessionChannel` for a channel. While a session is open, its unary calls cost both sides a
fraction of what RPCs of their own do; whenever none is, they are such RPCs, because waiting for a peer and finding
another one is what gRPC does well. What a broken session leaves open is told as gRPC tells it: UNAVAILABLE.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.duration_pb2 import Duration
from penstock.session.v1 import session_service_pb2, session_service_pb2_grpc

from servicekit.channel import repeatable
from servicekit.errors import STATUS_DETAILS_KEY
from servicekit.session import CODES, REQUEST_BYTES_MAX
from servicekit.session.stream import SessionLostError, SessionStream

# What gRPC's own retries (`servicekit.channel`) take for passing.
_PASSING = (grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.CANCELLED.value[0])
_PASSED = "/grpc."  # health and reflection look after themselves
_NANOS = 1_000_000_000


class SessionChannel(grpc.aio.Channel):
    """A channel whose unary calls travel in a session; streams, and what is gRPC's own, pass through as they are.

    Args:
        channel: to one service; it is closed with this.
        services: descriptors of the services called, as for `connect`: a call of theirs that is safe to repeat is
            repeated when its session breaks, as gRPC would repeat it.
    """

    def __init__(self, channel: grpc.aio.Channel, services: Iterable[ServiceDescriptor] = ()) -> None:
        self._plain = channel
        self._connect = session_service_pb2_grpc.SessionServiceStub(channel).Connect
        self._repeatable = {f"/{service}/{method}" for service, method in repeatable(services)}
        self._session: SessionStream | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Give a method as a function."""
        plain = self._plain.unary_unary(method, *arguments, **options)
        if method.startswith(_PASSED):
            return plain
        return _UnaryCallable(self, method, plain, *arguments, repeat=method in self._repeatable, **options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """Give a method as the channel does."""
        return self._plain.unary_stream(*arguments, **options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """Give a method as the channel does."""
        return self._plain.stream_unary(*arguments, **options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """Give a method as the channel does."""
        return self._plain.stream_stream(*arguments, **options)

    def session(self) -> "SessionStream | None":
        """Give the session that takes calls; None while the peer is not connected."""
        session = self._session
        if session is not None and session.takes_calls():
            return session
        if self.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            return None
        session = self._session = SessionStream(self._connect())
        self._ending.add(session.ended)
        session.ended.add_done_callback(self._ending.discard)
        return session

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Tell the state of the connection."""
        return self._plain.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for another state of the connection."""
        await self._plain.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait for the connection."""
        await self._plain.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """End the sessions, whose calls have `grace` seconds to be answered, and the channel."""
        if self._session is not None:
            self._session.retire()
        if self._ending:
            await asyncio.wait(self._ending, timeout=grace or 0)
        await self._plain.close(0)

    async def __aenter__(self) -> Self:
        """Open nothing: the first call does."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close at once."""
        await self.close()


class _UnaryCallable:
    """A unary method, called as gRPC's own `UnaryUnaryMultiCallable` is; it raises what that raises."""

    def __init__(
        self,
        channel: SessionChannel,
        method: str,
        plain: Any,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any] = bytes,
        _registered_method: bool = False,
        *,
        repeat: bool,
    ) -> None:
        self._channel = channel
        self._method = method
        self._plain = plain
        self._serialize = request_serializer
        self._parse = response_deserializer
        self._repeat = repeat

    async def __call__(
        self,
        request: Any,
        *,
        timeout: float,  # noqa: ASYNC109 - gRPC's own signature
        metadata: Sequence[tuple[str, str]] = (),
        wait_for_ready: bool = False,
    ) -> Any:
        """Call, and wait for the response for `timeout` seconds at most."""
        end = time.monotonic() + timeout
        answer = await self._ask(self._serialize(request), timeout, metadata)
        if answer is None:
            left = end - time.monotonic()
            return await self._plain(request, timeout=left, metadata=metadata, wait_for_ready=wait_for_ready)
        if answer.HasField("status"):
            details = (STATUS_DETAILS_KEY, answer.status.SerializeToString())
            raise _error(CODES[answer.status.code], answer.status.message, details)
        return self._parse(answer.response)

    async def _ask(
        self, request: bytes, seconds_max: float, metadata: Sequence[tuple[str, str]]
    ) -> session_service_pb2.Answer | None:
        """Call in the session; None if the call should be an RPC of its own, or is safe to be made again as one."""
        session = self._channel.session()
        if session is None or len(request) > REQUEST_BYTES_MAX:
            return None
        call = session_service_pb2.Call(
            method=self._method,
            metadata=[session_service_pb2.Metadatum(key=key, value=value) for key, value in metadata],
            timeout=_duration(seconds_max),
            request=request,
        )
        try:
            async with asyncio.timeout(seconds_max):
                answer = await session.ask(call)
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "The answer did not come in time.") from None
        except SessionLostError as lost:
            if lost.sent and not self._repeat:
                raise _error(grpc.StatusCode.UNAVAILABLE, "The session broke.") from None
            return None
        return None if self._repeat and answer.status.code in _PASSING else answer


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * _NANOS))


def _error(code: grpc.StatusCode, details: str, *trailing: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details)
