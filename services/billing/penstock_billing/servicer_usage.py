"""UsageService and PriceService: wire to the store and the price book, and back."""

from functools import partial
from typing import Any

from penstock.billing.v1 import (
    price_service_pb2,
    price_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
)
from servicekit.errors import InvalidArgument

from penstock_billing import resources, wire
from penstock_billing.clock import Clock, from_timestamp, month_start_us, to_us
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.prices import PriceBook
from penstock_billing.transactions import Transactions
from penstock_billing.usage_store import UsageQuestion, list_usage, sum_usage


class UsageServicer(usage_service_pb2_grpc.UsageServiceServicer):
    """Usage, from the store."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def QueryUsage(
        self, request: usage_service_pb2.QueryUsageRequest, _context: Any
    ) -> usage_service_pb2.QueryUsageResponse:
        """Sum usage. What comes in while a caller pages does not move the pages' end."""
        asked = [request.parent, str(request.start_time), str(request.end_time), *request.group_by]
        position = read_token(request.page_token, asked, [int, int, int])
        start_us, end_us, offset = map(int, position or (*self._span(request), 0))
        size = page_size(request.page_size)
        question = UsageQuestion(
            resources.read_parent(request.parent), start_us, end_us, tuple(request.group_by)
        )
        find = partial(sum_usage, question=question, offset=offset, items_max=size + 1)
        rows = await self._transactions.read(find)
        response = usage_service_pb2.QueryUsageResponse(
            rows=[resources.write_usage_row(row, request.group_by) for row in rows[:size]]
        )
        if len(rows) > size:
            response.next_page_token = write_token([start_us, end_us, offset + size], asked)
        return response

    async def ListUsageRecords(
        self, request: usage_service_pb2.ListUsageRecordsRequest, _context: Any
    ) -> usage_service_pb2.ListUsageRecordsResponse:
        """Give a page of usage lines."""
        asked = [request.parent, request.operation_id]
        size = page_size(request.page_size)
        find = partial(
            list_usage,
            organization=resources.read_parent(request.parent),
            operation_id=request.operation_id,
            before=read_token(request.page_token, asked, [int, str, int]),
            items_max=size + 1,
        )
        lines = await self._transactions.read(find)
        response = usage_service_pb2.ListUsageRecordsResponse(
            usage_records=map(resources.write_usage_record, lines[:size])
        )
        if len(lines) > size:
            last = lines[size - 1]
            response.next_page_token = write_token([last.end_us, last.operation_id, last.attempt], asked)
        return response

    def _span(self, request: usage_service_pb2.QueryUsageRequest) -> tuple[int, int]:
        now_us = to_us(self._clock())
        start_us = (
            from_timestamp(request.start_time) if request.HasField("start_time") else month_start_us(now_us)
        )
        end_us = from_timestamp(request.end_time) if request.HasField("end_time") else now_us
        if end_us < start_us:
            raise InvalidArgument(
                "INVALID_ARGUMENT", "end_time lies before start_time.", metadata={"field": "end_time"}
            )
        return start_us, end_us


class PriceServicer(price_service_pb2_grpc.PriceServiceServicer):
    """The price book."""

    def __init__(self, prices: PriceBook, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock

    async def ListPrices(
        self, request: price_service_pb2.ListPricesRequest, _context: Any
    ) -> price_service_pb2.ListPricesResponse:
        """Give a page of prices."""
        asked = [self._prices.version, str(request.as_of_time)]
        at_us = from_timestamp(request.as_of_time) if request.HasField("as_of_time") else to_us(self._clock())
        # What holds now stays the question while a caller pages.
        began_us, after_sku = read_token(request.page_token, asked, [int, str]) or [at_us, ""]
        size = page_size(request.page_size)
        found = [prices for prices in self._prices.all_at(int(began_us)) if prices.sku > str(after_sku)]
        response = price_service_pb2.ListPricesResponse(prices=map(wire.write_prices, found[:size]))
        if len(found) > size:
            response.next_page_token = write_token([began_us, found[size - 1].sku], asked)
        return response
