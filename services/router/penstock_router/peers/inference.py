"""Inference as the router calls it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from servicekit.context import outgoing
from servicekit.errors import NotFound, ServiceError, Unavailable

from penstock_router.peers.calls import Coalesced, ListCall, unavailable
from penstock_router.settings import RouterSettings

USAGE_POLLS_MAX = 20
UNKNOWN_POLLS_MAX = 10  # a step that was running when its caller went is journaled when it ends
USAGE_POLL_SECONDS = 0.05
USAGE_SECONDS_MAX = 1.0
LIST_SECONDS_MAX = 0.25  # models are listed without their engines rather than late


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
        self._decode: ListCall[Any, Any] = ListCall(
            self._stub.DecodeTokens,
            inference_service_pb2.DecodeTokensRequest,
            dependency="inference",
            seconds_max=seconds,
        )
        self._usage: ListCall[inference_service_pb2.GetUsageItem, inference_service_pb2.GetUsageResult] = (
            ListCall(
                self._stub.GetUsage,
                inference_service_pb2.GetUsageRequest,
                dependency="inference",
                seconds_max=USAGE_SECONDS_MAX,
                wait_for_ready=False,
            )
        )

    def generate(self, request: inference_service_pb2.GenerateRequest) -> Any:
        """Start a generation; iterate over the call, cancel it to stop."""
        return self._stub.Generate(request, **outgoing(wait_for_ready=False))

    async def loaded_models(self) -> Sequence[inference_service_pb2.LoadedModel]:
        """List what is loaded: the first page, of 1,000.

        Raises:
            Unavailable: inference does not answer at once.
        """
        options = outgoing(LIST_SECONDS_MAX, wait_for_ready=False)
        try:
            response = await self._stub.ListModels(inference_service_pb2.ListModelsRequest(), **options)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "inference") from error
        return response.models

    async def count_tokens(
        self, item: inference_service_pb2.CountTokensItem
    ) -> inference_service_pb2.CountTokensResult:
        """Count the tokens of a prompt."""
        result: inference_service_pb2.CountTokensResult = await self._count.submit(item)
        return result

    async def decode_tokens(
        self, items: list[inference_service_pb2.DecodeTokensItem]
    ) -> Sequence["inference_service_pb2.DecodeTokensResult | ServiceError"]:
        """Read texts in tokens."""
        return await self._decode(items)

    async def embed(
        self, items: list[inference_service_pb2.EmbedItem]
    ) -> Sequence[inference_service_pb2.EmbedResult | ServiceError]:
        """Embed texts."""
        return await self._embed(items)

    async def usage(
        self, operation_ids: Sequence[str]
    ) -> Sequence[inference_service_pb2.GetUsageResult | ServiceError]:
        """Read in the journal what operations produced; NotFound for those that it does not know."""
        return await self._usage([inference_service_pb2.GetUsageItem(operation_id=i) for i in operation_ids])

    async def ended_usage(self, operation_id: str, attempt: int) -> inference_service_pb2.AttemptUsage:
        """Read what an attempt produced, once it has stopped. One that the journal never knows produced nothing.

        Raises:
            Unavailable: the journal does not tell in time.
        """
        for poll in range(USAGE_POLLS_MAX):
            (result,) = await self.usage([operation_id])
            if isinstance(result, NotFound):
                if poll == UNKNOWN_POLLS_MAX:
                    return inference_service_pb2.AttemptUsage(attempt=attempt, ended=True)
            elif isinstance(result, ServiceError):
                raise result
            else:
                for usage in result.attempts:
                    if usage.attempt == attempt and usage.ended:
                        return usage
            await asyncio.sleep(USAGE_POLL_SECONDS)
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The attempt has not ended yet.")
