"""LimitService: wire to the store and back."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from penstock.billing.v1 import limit_pb2, limit_service_pb2, limit_service_pb2_grpc
from sqlalchemy import Connection

from penstock_billing.clock import Clock, to_us
from penstock_billing.limit import Limit
from penstock_billing.limit_store import (
    create_limit,
    delete_limit,
    fullest_count,
    get_limit,
    list_limits,
    update_limit,
)
from penstock_billing.limit_wire import read_limit_changes, read_limit_name, read_new_limit, write_limit
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.resources import read_parent
from penstock_billing.transactions import Transactions


class LimitServicer(limit_service_pb2_grpc.LimitServiceServicer):
    """Limits, in the store."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def CreateLimit(
        self, request: limit_service_pb2.CreateLimitRequest, _context: Any
    ) -> limit_service_pb2.CreateLimitResponse:
        """Make a limit."""
        limit = read_new_limit(request, to_us(self._clock()))
        limit = await self._transactions.write(partial(create_limit, limit=limit))
        return limit_service_pb2.CreateLimitResponse(limit=await self._write(limit))

    async def GetLimit(
        self, request: limit_service_pb2.GetLimitRequest, _context: Any
    ) -> limit_service_pb2.GetLimitResponse:
        """Give a limit."""
        organization, limit_id = read_limit_name(request.name)
        find = partial(get_limit, organization=organization, limit_id=limit_id)
        limit = await self._transactions.read(find)
        return limit_service_pb2.GetLimitResponse(limit=await self._write(limit))

    async def ListLimits(
        self, request: limit_service_pb2.ListLimitsRequest, _context: Any
    ) -> limit_service_pb2.ListLimitsResponse:
        """Give a page of limits."""
        (after_id,) = read_token(request.page_token, [request.parent], [str]) or [""]
        size = page_size(request.page_size)
        organization = read_parent(request.parent)
        find = partial(list_limits, organization=organization, after_id=str(after_id), items_max=size + 1)
        found = await self._transactions.read(find)
        response = limit_service_pb2.ListLimitsResponse(limits=await self._write_all(found[:size]))
        if len(found) > size:
            response.next_page_token = write_token([found[size - 1].limit_id], [request.parent])
        return response

    async def UpdateLimit(
        self, request: limit_service_pb2.UpdateLimitRequest, _context: Any
    ) -> limit_service_pb2.UpdateLimitResponse:
        """Change a limit."""
        organization, limit_id = read_limit_name(request.limit.name)
        changes = read_limit_changes(request)
        change = partial(update_limit, organization=organization, limit_id=limit_id, changes=changes)
        limit = await self._transactions.write(change)
        return limit_service_pb2.UpdateLimitResponse(limit=await self._write(limit))

    async def DeleteLimit(
        self, request: limit_service_pb2.DeleteLimitRequest, _context: Any
    ) -> limit_service_pb2.DeleteLimitResponse:
        """End a limit."""
        organization, limit_id = read_limit_name(request.name)
        end = partial(delete_limit, organization=organization, limit_id=limit_id)
        await self._transactions.write(end)
        return limit_service_pb2.DeleteLimitResponse()

    async def _write(self, limit: Limit) -> limit_pb2.Limit:
        (written,) = await self._write_all([limit])
        return written

    async def _write_all(self, limits: Sequence[Limit]) -> list[limit_pb2.Limit]:
        now_ms = to_us(self._clock()) // 1000

        def count(connection: Connection) -> list[limit_pb2.Limit]:
            return [write_limit(limit, fullest_count(connection, limit, now_ms)) for limit in limits]

        return await self._transactions.read(count)
