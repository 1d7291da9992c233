"""UsageCorrectionService: wire to corrections, and back."""

from functools import partial
from typing import Any

from penstock.billing.v1 import (
    usage_correction_pb2,
    usage_correction_service_pb2,
    usage_correction_service_pb2_grpc,
)
from servicekit.context import CALLER_HEADER

from penstock_billing import resources
from penstock_billing.clock import Clock, to_timestamp, to_us
from penstock_billing.correction import Correction, CorrectionRequest
from penstock_billing.correction_store import correct_usage, list_corrections
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.price_watch import PriceWatch
from penstock_billing.transactions import Transactions


class UsageCorrectionServicer(usage_correction_service_pb2_grpc.UsageCorrectionServiceServicer):
    """Corrections, in the store."""

    def __init__(self, transactions: Transactions, watch: PriceWatch, clock: Clock) -> None:
        self._transactions = transactions
        self._watch = watch
        self._clock = clock

    async def CreateUsageCorrection(
        self, request: usage_correction_service_pb2.CreateUsageCorrectionRequest, context: Any
    ) -> usage_correction_service_pb2.CreateUsageCorrectionResponse:
        """Correct what an operation was charged."""
        make = partial(
            correct_usage,
            request=_read(request, context),
            book=self._watch.book,
            now_us=to_us(self._clock()),
        )
        correction = await self._transactions.write(make)
        return usage_correction_service_pb2.CreateUsageCorrectionResponse(usage_correction=_write(correction))

    async def ListUsageCorrections(
        self, request: usage_correction_service_pb2.ListUsageCorrectionsRequest, _context: Any
    ) -> usage_correction_service_pb2.ListUsageCorrectionsResponse:
        """Give a page of corrections."""
        size = page_size(request.page_size)
        find = partial(
            list_corrections,
            organization=resources.read_parent(request.parent),
            before=read_token(request.page_token, [request.parent], [int, str]),
            items_max=size + 1,
        )
        found = await self._transactions.read(find)
        response = usage_correction_service_pb2.ListUsageCorrectionsResponse(
            usage_corrections=map(_write, found[:size])
        )
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = write_token([last.create_us, last.request_id], [request.parent])
        return response


def _read(
    request: usage_correction_service_pb2.CreateUsageCorrectionRequest, context: Any
) -> CorrectionRequest:
    resources.refuse_nul(request, ("operation_id", "reason"), "usage_correction")
    for attempt in request.attempts:
        resources.refuse_nul(attempt, ("sku", "endpoint"), "attempts")
    return CorrectionRequest(
        organization=resources.read_parent(request.parent),
        operation_id=request.operation_id,
        attempts=request.attempts,
        reason=request.reason,
        request_id=request.request_id,
        actor=dict(context.invocation_metadata() or ()).get(CALLER_HEADER, ""),
    )


def _write(correction: Correction) -> usage_correction_pb2.UsageCorrection:
    return usage_correction_pb2.UsageCorrection(
        name=correction.name,
        operation_id=correction.operation_id,
        number=correction.number,
        reversed_nanos=correction.reversed_nanos,
        cost_nanos=correction.cost_nanos,
        reason=correction.reason,
        actor=correction.actor,
        create_time=to_timestamp(correction.create_us),
    )
