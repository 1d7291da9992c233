"""What travels with a request through every hop: its id, trace, deadline and principal.

Inside a process a deadline is a point of the monotonic clock in seconds; on the wire it is gRPC's own timeout
for a call and `deadline_time` for an item of a list.
"""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from random import getrandbits  # ids are names and not secrets; this is a tenth of a system call
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp
from penstock.context.v1 import request_context_pb2

from servicekit.errors import DeadlineExceeded

HOP_MARGIN_SECONDS = 0.005
TIMEOUT_SECONDS_MAX = 600.0
# Metadata of a call that the router forwards: the id of the API key that it checked.
CALLER_HEADER = "x-api-key-id"
# W3C Trace Context, version 00.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request as every service knows it. Defaults mean: not known."""

    request_id: str
    traceparent: str
    deadline: float = math.inf
    organization: str = ""
    user: str = ""
    team: str = ""
    api_key: str = ""
    priority: int = 0
    roles: tuple[str, ...] = ()
    tier: str = ""
    region: str = ""

    def remaining_seconds(self) -> float:
        """Tell how long the caller still waits: inf without a deadline, negative when it is past."""
        return self.deadline - time.monotonic()

    def check_deadline(self) -> None:
        """Raise DeadlineExceeded when the caller no longer waits, so that expired work is never started."""
        if self.remaining_seconds() <= 0:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the work was started.")


class CallOptions(TypedDict):
    """Keyword arguments of a grpc.aio call."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]
    wait_for_ready: bool


_current: ContextVar[RequestContext] = ContextVar("request_context")


def current() -> RequestContext:
    """Give the context of the request being served; a fresh one outside of any request."""
    context = _current.get(None)
    return fresh() if context is None else context


def serving() -> RequestContext | None:
    """Give the context of the request being served, None outside of any request."""
    return _current.get(None)


def fresh(deadline: float = math.inf) -> RequestContext:
    """Begin a request of our own: new id, new trace."""
    return RequestContext(new_request_id(), new_traceparent(), deadline)


def enter(context: RequestContext) -> None:
    """Make this the current context for the rest of the running task."""
    _current.set(context)


@contextmanager
def bound(context: RequestContext) -> Iterator[RequestContext]:
    """Make this the current context for a block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def outgoing(timeout_seconds: float = TIMEOUT_SECONDS_MAX, *, wait_for_ready: bool = True) -> CallOptions:
    """Give the options of a call made for the current request: `await stub.Get(request, **outgoing(2))`.

    The call ends 5 ms before the caller's deadline, so that there is time to answer, and after `timeout_seconds`
    at the latest. While the peer restarts, the call waits for it within that time.

    Raises:
        DeadlineExceeded: the deadline is past, so the call is not started.
    """
    context = current()
    timeout = min(timeout_seconds, context.remaining_seconds() - HOP_MARGIN_SECONDS)
    if timeout <= 0:
        raise DeadlineExceeded("DEADLINE_EXCEEDED", "No time is left to call a peer.")
    metadata = (("x-request-id", context.request_id), ("traceparent", context.traceparent))
    return {"timeout": timeout, "metadata": metadata, "wait_for_ready": wait_for_ready}


def to_proto(context: RequestContext) -> request_context_pb2.RequestContext:
    """Write a context for an item of a list RPC; the deadline shrinks by the margin of a hop."""
    message = request_context_pb2.RequestContext(
        request_id=context.request_id,
        traceparent=context.traceparent,
        organization=context.organization,
        user=context.user,
        team=context.team,
        api_key=context.api_key,
        priority=context.priority,
        roles=context.roles,
        tier=context.tier,
        region=context.region,
    )
    if context.deadline != math.inf:
        at = time.time_ns() + int((context.remaining_seconds() - HOP_MARGIN_SECONDS) * _NANOS)
        message.deadline_time.CopyFrom(Timestamp(seconds=at // _NANOS, nanos=at % _NANOS))
    return message


def from_proto(message: request_context_pb2.RequestContext) -> RequestContext:
    """Read the context of an item of a list RPC."""
    return RequestContext(
        request_id=message.request_id or new_request_id(),
        traceparent=message.traceparent or new_traceparent(),
        deadline=deadline_of(message),
        organization=message.organization,
        user=message.user,
        team=message.team,
        api_key=message.api_key,
        priority=message.priority,
        roles=tuple(message.roles),
        tier=message.tier,
        region=message.region,
    )


def deadline_of(message: request_context_pb2.RequestContext) -> float:
    """Read only the deadline of an item, on the monotonic clock; inf when it has none."""
    if not message.HasField("deadline_time"):
        return math.inf
    at = message.deadline_time
    return time.monotonic() + (at.seconds - time.time()) + at.nanos / _NANOS


def new_request_id() -> str:
    """Make a UUIDv7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_traceparent() -> str:
    """Start a trace (W3C Trace Context) that asks to be recorded, by whoever records."""
    return f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-01"


def child_traceparent(traceparent: str) -> str:
    """Name a new span of the same trace."""
    return f"{traceparent[:36]}{getrandbits(64):016x}{traceparent[52:]}"
