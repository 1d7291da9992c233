"""UsageService: wire to sums and lines, and back."""

import asyncio
from functools import partial
from typing import Any

from penstock.billing.v1 import usage_pb2, usage_service_pb2, usage_service_pb2_grpc
from servicekit.errors import ServiceError

from penstock_billing import focus, outlook_wire, refusals, resources
from penstock_billing.anomaly import Z_SCORE_MILLI_DEFAULT
from penstock_billing.budget import LONGEST_MONTH_US, WEEK_US
from penstock_billing.charge_store import KEY_TYPES
from penstock_billing.clock import DAY_US, HOUR_US, Clock, from_timestamp, month_start_us, to_us
from penstock_billing.focus_export import export_page
from penstock_billing.folder import Folder
from penstock_billing.outlook import look_back, read_past
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.rollup_store import UsageQuestion, sum_usage
from penstock_billing.transactions import Transactions
from penstock_billing.usage_store import list_usage

FOCUS_PAGE_SIZE_DEFAULT = 1000


class UsageServicer(usage_service_pb2_grpc.UsageServiceServicer):
    """Usage, from the store. Sums by label are kept for `tag_keys`."""

    def __init__(
        self, transactions: Transactions, folder: Folder, clock: Clock, tag_keys: tuple[str, ...]
    ) -> None:
        self._transactions = transactions
        self._folder = folder
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

    async def ForecastSpend(
        self, request: usage_service_pb2.ForecastSpendRequest, _context: Any
    ) -> usage_service_pb2.ForecastSpendResponse:
        """Forecast spend, beside the loop: it takes some hundredths of a second."""
        read = partial(
            read_past,
            organization=resources.read_parent(request.parent),
            budget_id=request.budget_id,
            now_us=to_us(self._clock()),
        )
        past = await self._transactions.read(read)
        return outlook_wire.write_forecast(past, await asyncio.to_thread(past.forecast))

    async def ListSpendAnomalies(
        self, request: usage_service_pb2.ListSpendAnomaliesRequest, _context: Any
    ) -> usage_service_pb2.ListSpendAnomaliesResponse:
        """Find anomalies."""
        now_us = to_us(self._clock())
        start_us = from_timestamp(request.start_time) if request.HasField("start_time") else now_us - WEEK_US
        if start_us < now_us - LONGEST_MONTH_US:
            raise refusals.invalid("start_time lies more than 31 days ago.", "start_time")
        look = partial(
            look_back,
            organization=resources.read_parent(request.parent),
            start_us=start_us,
            now_us=now_us,
            z_score_milli_min=request.z_score_milli_min or Z_SCORE_MILLI_DEFAULT,
        )
        begin_us, found = await self._transactions.read(look)
        return usage_service_pb2.ListSpendAnomaliesResponse(
            anomalies=[outlook_wire.write_anomaly(each, begin_us) for each in found]
        )

    async def ExportFocus(
        self, request: usage_service_pb2.ExportFocusRequest, _context: Any
    ) -> usage_service_pb2.ExportFocusResponse:
        """Give a page of charges; before the first what was posted last is folded."""
        asked = [request.parent, str(request.start_time), str(request.end_time)]
        position = read_token(request.page_token, asked, [int, int, *KEY_TYPES])
        start_us, end_us = map(int, position[:2] if position else self._days(request))
        if position is None:
            await self._folder.fold()
        export = partial(
            export_page,
            organization=resources.read_parent(request.parent),
            days=(start_us, end_us),
            after=position[2:] if position else None,
            items_max=request.page_size or FOCUS_PAGE_SIZE_DEFAULT,
        )
        page = await self._transactions.read(export)
        response = usage_service_pb2.ExportFocusResponse(focus_version=focus.VERSION, csv=page.csv)
        if page.last is not None:
            response.next_page_token = write_token([start_us, end_us, *page.last], asked)
        return response

    def _days(self, request: usage_service_pb2.ExportFocusRequest) -> tuple[int, int]:
        now_us = to_us(self._clock())
        tomorrow_us = (now_us // DAY_US + 1) * DAY_US
        start_us = (
            from_timestamp(request.start_time) if request.HasField("start_time") else month_start_us(now_us)
        )
        end_us = from_timestamp(request.end_time) if request.HasField("end_time") else tomorrow_us
        for field, at_us in (("start_time", start_us), ("end_time", end_us)):
            if at_us % DAY_US:
                raise refusals.invalid(f"{field} is no midnight, UTC.", field)
        return start_us, end_us

    def _span(self, request: usage_service_pb2.QueryUsageRequest) -> tuple[int, int]:
        now_us = to_us(self._clock())
        start_us = (
            from_timestamp(request.start_time) if request.HasField("start_time") else month_start_us(now_us)
        )
        # A whole hour needs no line to be read. It ends in the future, where nothing has ended yet.
        hour_end_us = (now_us // HOUR_US + 1) * HOUR_US
        end_us = from_timestamp(request.end_time) if request.HasField("end_time") else hour_end_us
        if end_us < start_us:
            raise refusals.invalid("end_time lies before start_time.", "end_time")
        return start_us, end_us

    def _no_such_tag(self, tag_key: str) -> ServiceError:
        kept = ", ".join(self._tag_keys) or "none"
        return refusals.invalid(f"No sums are kept by the label {tag_key!r}; kept are: {kept}.", "tag_key")
