"""Read who calls, until when and in which trace from an RPC's metadata."""

import re
import time
from typing import Any, NamedTuple

import grpc.aio

from servicekit.context import (
    TIMEOUT_SECONDS_MAX,
    TRACEPARENT,
    RequestContext,
    child_traceparent,
    new_request_id,
    new_traceparent,
)

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")


class Caller(NamedTuple):
    """What the caller named; empty: nothing, or not well formed."""

    request_id: str
    traceparent: str


def read_context(call: "grpc.aio.ServicerContext[Any, Any]") -> tuple[RequestContext, Caller]:
    """Read `x-request-id`, `traceparent` and gRPC's deadline; mint what is absent. The trace gets a new span."""
    request_id = traceparent = ""
    for key, value in call.invocation_metadata() or ():
        if key == "x-request-id" and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            request_id = value
        elif key == "traceparent" and isinstance(value, str) and TRACEPARENT.fullmatch(value):
            traceparent = value
    remaining = call.time_remaining()
    context = RequestContext(
        request_id=request_id or new_request_id(),
        traceparent=child_traceparent(traceparent) if traceparent else new_traceparent(),
        deadline=time.monotonic() + (TIMEOUT_SECONDS_MAX if remaining is None else remaining),
    )
    return context, Caller(request_id, traceparent)


def response_metadata(context: RequestContext) -> tuple[tuple[str, str], ...]:
    """Give the metadata that tells the caller how to ask about this request."""
    return (("x-request-id", context.request_id), ("traceparent", context.traceparent))
