"""HoldService: wire to commands, to the recorder, and back. The other services are in servicer_*.py."""

from typing import Any

from penstock.billing.v1 import hold_service_pb2, hold_service_pb2_grpc

from penstock_billing import wire
from penstock_billing.claims import Claims
from penstock_billing.record import Recorder


class HoldServicer(hold_service_pb2_grpc.HoldServiceServicer):
    """Lists of operations, through the recorder."""

    def __init__(self, recorder: Recorder, claims: Claims) -> None:
        self._recorder = recorder
        self._claims = claims

    async def Authorize(
        self, request: hold_service_pb2.AuthorizeRequest, _context: Any
    ) -> hold_service_pb2.AuthorizeResponse:
        """Admit operations."""
        outcomes = await self._recorder.submit([wire.read_authorize(item) for item in request.items])
        return hold_service_pb2.AuthorizeResponse(results=map(wire.write_authorize, outcomes))

    async def Extend(
        self, request: hold_service_pb2.ExtendRequest, _context: Any
    ) -> hold_service_pb2.ExtendResponse:
        """Lengthen and widen holds."""
        commands = [wire.read_extend(item) for item in request.items]
        outcomes = await self._recorder.submit(commands)
        return hold_service_pb2.ExtendResponse(results=map(wire.write_extend, commands, outcomes))

    async def Settle(
        self, request: hold_service_pb2.SettleRequest, _context: Any
    ) -> hold_service_pb2.SettleResponse:
        """Post usage."""
        outcomes = await self._recorder.submit([wire.read_settle(item) for item in request.items])
        return hold_service_pb2.SettleResponse(results=map(wire.write_settle, outcomes))

    async def Release(
        self, request: hold_service_pb2.ReleaseRequest, _context: Any
    ) -> hold_service_pb2.ReleaseResponse:
        """Give holds back."""
        outcomes = await self._recorder.submit([wire.read_release(item) for item in request.items])
        return hold_service_pb2.ReleaseResponse(results=map(wire.write_release, outcomes))

    async def ClaimLapsedHolds(
        self, request: hold_service_pb2.ClaimLapsedHoldsRequest, _context: Any
    ) -> hold_service_pb2.ClaimLapsedHoldsResponse:
        """Give out holds whose lease has ended, to be reconciled."""
        found = await self._claims.claim(request.items_max, wire.read_span(request.claim))
        holds = [wire.write_lapsed(hold, self._claims.grace_us) for hold in found]
        return hold_service_pb2.ClaimLapsedHoldsResponse(holds=holds)
