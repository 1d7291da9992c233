"""UsageService: wire to sums and lines, and back."""

from functools import partial
from typing import Any

from penstock.billing.v1 import usage_pb2, usage_service_pb2, usage_service_pb2_grpc
from servicekit.errors import InvalidArgument, ServiceError

from penstock_billing import resources
from penstock_billing.clock import HOUR_US, Clock, from_timestamp, month_start_us, to_us
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.rollup_store import UsageQuestion, sum_usage
from penstock_billing.transactions import Transactions
from penstock_billing.usage_store import list_usage


class UsageServicer(usage_service_pb2_grpc.UsageServiceServicer):
    """Usage, from the store. Sums by label are kept for `tag_keys`."""

    def __init__(self, transactions: Transactions, clock: Clock, tag_keys: tuple[str, ...]) -> None:
        self._transactions = transactions
        self._clock = clock
        self._tag_keys = tag_keys

    async def QueryUsage(
        self, request: usage_service_pb2.QueryUsageRequest, _context: Any
    ) -> usage_service_pb2.QueryUsageResponse:
        """Sum usage. The pages of a question have one end, whenever they are asked for."""
        by_tag = usage_pb2.USAGE_DIMENSION_TAG in request.group_by
        if by_tag and request.tag_key not in self._tag_keys:
            raise self._no_such_tag(request.tag_key)
        asked = [
            request.parent,
            str(request.start_time),
            str(request.end_time),
            *request.group_by,
            request.tag_key,
        ]
        position = read_token(request.page_token, asked, [int, int, int])
        start_us, end_us, offset = map(int, position or (*self._span(request), 0))
        size = page_size(request.page_size)
        question = UsageQuestion(
            organization=resources.read_parent(request.parent),
            start_us=start_us,
            end_us=end_us,
            group_by=tuple(request.group_by),
            tag_key=request.tag_key if by_tag else "",
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
        # A whole hour needs no line to be read. It ends in the future, where nothing has ended yet.
        hour_end_us = (now_us // HOUR_US + 1) * HOUR_US
        end_us = from_timestamp(request.end_time) if request.HasField("end_time") else hour_end_us
        if end_us < start_us:
            raise InvalidArgument(
                "INVALID_ARGUMENT", "end_time lies before start_time.", metadata={"field": "end_time"}
            )
        return start_us, end_us

    def _no_such_tag(self, tag_key: str) -> ServiceError:
        kept = ", ".join(self._tag_keys) or "none"
        return InvalidArgument(
            "INVALID_ARGUMENT",
            f"No sums are kept by the label {tag_key!r}; kept are: {kept}.",
            metadata={"field": "tag_key"},
        )
