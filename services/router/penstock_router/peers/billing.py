"""Billing as the router calls it."""

from collections.abc import Sequence
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from penstock.billing.v1 import hold_service_pb2, hold_service_pb2_grpc
from servicekit.context import outgoing

from penstock_router.peers.calls import Coalesced, ListCall, check_serving, unavailable
from penstock_router.settings import RouterSettings


class BillingPeer:
    """Admits operations and posts what they used."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self.channel = channel
        stub = hold_service_pb2_grpc.HoldServiceStub(channel)
        seconds = settings.peer_seconds_max
        authorize = ListCall[Any, Any](
            stub.Authorize, hold_service_pb2.AuthorizeRequest, dependency="billing", seconds_max=seconds
        )
        self._authorize = coalesced("billing.Authorize", authorize, seconds)
        self.settle = ListCall[hold_service_pb2.SettleItem, hold_service_pb2.SettleResult](
            stub.Settle, hold_service_pb2.SettleRequest, dependency="billing", seconds_max=seconds
        )
        self.release = ListCall[hold_service_pb2.ReleaseItem, hold_service_pb2.ReleaseResult](
            stub.Release, hold_service_pb2.ReleaseRequest, dependency="billing", seconds_max=seconds
        )

        self.extend = ListCall[hold_service_pb2.ExtendItem, hold_service_pb2.ExtendResult](
            stub.Extend, hold_service_pb2.ExtendRequest, dependency="billing", seconds_max=seconds
        )
        self._claim = stub.ClaimLapsedHolds
        self._seconds_max = seconds

    async def ping(self) -> None:
        """Probe its health, for `Service.dependencies`."""
        await check_serving(self.channel)

    async def claim_lapsed(self, holds_max: int, claim_seconds: int) -> Sequence[hold_service_pb2.LapsedHold]:
        """Claim holds that nobody closed in time."""
        request = hold_service_pb2.ClaimLapsedHoldsRequest(
            items_max=holds_max, claim=Duration(seconds=claim_seconds)
        )
        try:
            response = await self._claim(request, **outgoing(self._seconds_max, wait_for_ready=False))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "billing") from error
        holds: Sequence[hold_service_pb2.LapsedHold] = response.holds
        return holds

    async def authorize(self, item: hold_service_pb2.AuthorizeItem) -> hold_service_pb2.AuthorizeResult:
        """Admit an operation and set money aside."""
        result: hold_service_pb2.AuthorizeResult = await self._authorize.submit(item)
        return result
