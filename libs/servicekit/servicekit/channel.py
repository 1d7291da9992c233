"""Channels to peers: keepalive, limits, fast reconnects, and retries of calls that are safe to repeat."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from servicekit import telemetry

MESSAGE_BYTES_MAX = 32 * 1024 * 1024
RETRY_ATTEMPTS_MAX = 3

_REPEATABLE = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


def connect(address: str, services: Iterable[ServiceDescriptor] = ()) -> grpc.aio.Channel:
    """Open a channel to a peer; close it with `async with` or `await channel.close()`.

    Args:
        address: "host:port".
        services: descriptors of the services called over it, `x_pb2.DESCRIPTOR.services_by_name.values()`. Their
            methods that declare NO_SIDE_EFFECTS or IDEMPOTENT are retried while the peer is away, 3 attempts in all.

    Whatever a call must carry (timeout, request id, trace) comes from `servicekit.context.outgoing()`.
    """
    options: Sequence[tuple[str, Any]] = (
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        # A peer that is gone without a word is noticed within 15 s; one that comes back is found within 1 s.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Two channels to one address keep two connections, as their owners expect.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.service_config", service_config(services)),
    )
    return grpc.aio.insecure_channel(address, options=options, interceptors=telemetry.client_interceptors())


def repeatable(services: Iterable[ServiceDescriptor]) -> Iterator[tuple[str, str]]:
    """Give service and method of what is safe to call twice."""
    for service in services:
        for method in service.methods:
            if method.GetOptions().idempotency_level in _REPEATABLE:
                yield service.full_name, method.name


def service_config(services: Iterable[ServiceDescriptor]) -> str:
    """Write the gRPC service config (gRFC A6) that retries only methods safe to repeat."""
    names = [{"service": service, "method": method} for service, method in repeatable(services)]
    if not names:
        return "{}"
    policy = {
        "maxAttempts": RETRY_ATTEMPTS_MAX,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 3,
        # A server that stops answers what it had not begun with CANCELLED; our own cancellation is never retried.
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    # A server that fails more than it answers gets no retries on top (gRFC A6, retry throttling).
    throttling = {"maxTokens": 100, "tokenRatio": 0.1}
    return json.dumps(
        {"methodConfig": [{"name": names, "retryPolicy": policy}], "retryThrottling": throttling}
    )
