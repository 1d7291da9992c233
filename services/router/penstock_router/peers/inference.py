"""Inference as the router calls it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from servicekit.context import outgoing
from servicekit.errors import ServiceError

from penstock_router.peers.calls import Coalesced, ListCall
from penstock_router.settings import RouterSettings

USAGE_POLLS_MAX = 20
USAGE_POLL_SECONDS = 0.05
USAGE_SECONDS_MAX = 1.0


class InferencePeer:
    """Generates, embeds and counts."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self._stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        seconds = settings.peer_seconds_max
        count = ListCall[Any, Any](
            self._stub.CountTokens,
            inference_service_pb2.CountTokensRequest,
            dependency="inference",
            seconds_max=seconds,
        )
        self._count = coalesced("inference.CountTokens", count, seconds)
        self._embed: ListCall[inference_service_pb2.EmbedItem, inference_service_pb2.EmbedResult] = ListCall(
            self._stub.Embed,
            inference_service_pb2.EmbedRequest,
            dependency="inference",
            seconds_max=settings.first_token_seconds_max,
        )

    def generate(self, request: inference_service_pb2.GenerateRequest) -> Any:
        """Start a generation; iterate over the call, cancel it to stop."""
        return self._stub.Generate(request, **outgoing(wait_for_ready=False))

    async def count_tokens(
        self, item: inference_service_pb2.CountTokensItem
    ) -> inference_service_pb2.CountTokensResult:
        """Count the tokens of a prompt."""
        result: inference_service_pb2.CountTokensResult = await self._count.submit(item)
        return result

    async def embed(
        self, items: list[inference_service_pb2.EmbedItem]
    ) -> Sequence[inference_service_pb2.EmbedResult | ServiceError]:
        """Embed texts."""
        return await self._embed(items)

    async def ended_usage(self, operation_id: str, attempt: int) -> inference_service_pb2.AttemptUsage | None:
        """Read what an attempt produced, once it has stopped; None when the journal does not tell in time."""
        request = inference_service_pb2.GetUsageRequest()
        request.items.add(operation_id=operation_id)
        for _ in range(USAGE_POLLS_MAX):
            try:
                response = await self._stub.GetUsage(request, timeout=USAGE_SECONDS_MAX)
            except grpc.aio.AioRpcError:
                return None
            (result,) = response.results
            if result.status.code:
                return None
            for usage in result.attempts:
                if usage.attempt == attempt and usage.ended:
                    return usage
            await asyncio.sleep(USAGE_POLL_SECONDS)
        return None
