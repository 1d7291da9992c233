"""The guardrail as the router calls it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from penstock.context.v1 import request_context_pb2
from penstock.guardrail.v1 import finding_pb2, guardrail_service_pb2, guardrail_service_pb2_grpc
from servicekit.context import outgoing
from servicekit.errors import Unavailable

from penstock_router.peers.calls import Coalesced, ListCall, check_serving, unavailable
from penstock_router.settings import RouterSettings


class GuardrailPeer:
    """Inspects texts, whole and as they flow."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self.channel = channel
        self._stub = guardrail_service_pb2_grpc.GuardrailServiceStub(channel)
        self._dependency = "guardrail"
        call = ListCall[Any, Any](
            self._stub.Inspect,
            guardrail_service_pb2.InspectRequest,
            dependency=self._dependency,
            seconds_max=settings.peer_seconds_max,
        )
        self._inspect = coalesced("guardrail.Inspect", call, settings.peer_seconds_max)

    async def inspect(self, item: guardrail_service_pb2.InspectItem) -> guardrail_service_pb2.InspectResult:
        """Decide on whole texts."""
        result: guardrail_service_pb2.InspectResult = await self._inspect.submit(item)
        return result

    async def ping(self) -> None:
        """Probe its health, for `Service.dependencies`."""
        await check_serving(self.channel)

    @asynccontextmanager
    async def inspect_stream(
        self, context: request_context_pb2.RequestContext, session: str
    ) -> AsyncIterator["OutputInspection"]:
        """Open the inspection of an answer that flows."""
        call = self._stub.InspectStream(**outgoing())
        try:
            inspection = OutputInspection(call, self._dependency)
            await inspection.open(context, session)
            yield inspection
        finally:
            call.cancel()


class OutputInspection:
    """An answer under inspection: text goes in, what may leave comes out."""

    def __init__(self, call: Any, dependency: str) -> None:
        self._call = call
        self._dependency = dependency

    async def open(self, context: request_context_pb2.RequestContext, session: str) -> None:
        """Say who asks and which redactions to restore."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.open.context.CopyFrom(context)
        request.open.direction = finding_pb2.DIRECTION_OUTPUT
        request.open.redaction_session = session
        await self._write(request)

    async def feed(self, index: int, text: str) -> guardrail_service_pb2.InspectStreamResponse:
        """Bring text of one answer and get what may leave."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.delta.choice_index = index
        request.delta.text = text
        return await self._exchange(request)

    async def finish(self, index: int) -> guardrail_service_pb2.InspectStreamResponse:
        """End one answer and get what was held back."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.finish.choice_index = index
        return await self._exchange(request)

    async def _exchange(
        self, request: guardrail_service_pb2.InspectStreamRequest
    ) -> guardrail_service_pb2.InspectStreamResponse:
        await self._write(request)
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._dependency) from error
        if not isinstance(response, guardrail_service_pb2.InspectStreamResponse):
            raise self._ended()
        return response

    async def _write(self, request: guardrail_service_pb2.InspectStreamRequest) -> None:
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._dependency) from error
        except asyncio.InvalidStateError as error:
            raise self._ended() from error

    def _ended(self) -> Unavailable:
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE",
            f"{self._dependency} ended the inspection; retry.",
            metadata={"dependency": self._dependency},
        )
