"""Wire messages to values and back: holds and what happens to them."""

import hashlib
from functools import lru_cache
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import hold_pb2, hold_service_pb2, limit_pb2
from penstock.context.v1 import request_context_pb2
from servicekit.errors import InvalidArgument, ServiceError

from penstock_billing.books import Outcome
from penstock_billing.clock import SECOND_US, from_timestamp, to_timestamp
from penstock_billing.commands import Authorize, Extend, Release, Settle
from penstock_billing.ledger import Hold, Payer, Rate
from penstock_billing.prices import Prices

HASH_BYTES = 16


def read_authorize(item: hold_service_pb2.AuthorizeItem) -> Authorize:
    """Read an operation to admit."""
    payer = _payer(item.context)
    return Authorize(
        payer=payer,
        operation_id=item.operation_id,
        skus=tuple(item.skus),
        prompt_tokens=item.prompt_tokens,
        max_tokens=item.max_tokens,
        answers=item.n or 1,
        lease_us=read_span(item.lease),
        deadline_us=_deadline_us(item.context),
        model=item.model,
        tier=item.context.tier,
        holder=_take_holder(item),
        request_hash=_hash(item, payer),
    )


def read_extend(item: hold_service_pb2.ExtendItem) -> Extend:
    """Read a hold to lengthen."""
    return Extend(
        payer=_payer(item.context),
        operation_id=item.operation_id,
        expire_us=from_timestamp(item.expire_time),
        amount_nanos=item.amount_nanos,
        deadline_us=_deadline_us(item.context),
        max_tokens=item.max_tokens,
    )


def read_settle(item: hold_service_pb2.SettleItem) -> Settle:
    """Read an operation that ended."""
    payer = _payer(item.context)
    return Settle(
        payer=payer,
        operation_id=item.operation_id,
        attempts=item.attempts,
        end_us=from_timestamp(item.end_time),
        model=item.model,
        operation=item.operation,
        metadata=item.metadata,
        usage_hash=_hash(item, payer),
    )


def read_release(item: hold_service_pb2.ReleaseItem) -> Release:
    """Read a hold to give back."""
    return Release(_payer(item.context), item.operation_id)


def read_span(span: Duration) -> int:
    """Read a span, in microseconds."""
    return span.seconds * SECOND_US + span.nanos // 1000


def write_lapsed(hold: Hold, grace_us: int) -> hold_service_pb2.LapsedHold:
    """Write a hold to be reconciled."""
    payer = hold.payer
    return hold_service_pb2.LapsedHold(
        context=request_context_pb2.RequestContext(
            request_id=hold.operation_id,
            organization=payer.organization,
            user=payer.user,
            team=payer.team,
            api_key=payer.api_key,
        ),
        operation_id=hold.operation_id,
        skus=[prices.sku for prices in hold.prices],
        model=hold.model,
        holder=hold.holder,
        create_time=to_timestamp(hold.create_us),
        lapse_time=to_timestamp(hold.expire_us),
        expire_time=to_timestamp(hold.expire_us + grace_us),
    )


def write_authorize(outcome: Outcome) -> hold_service_pb2.AuthorizeResult:
    """Write a decision."""
    if isinstance(outcome, ServiceError):
        return hold_service_pb2.AuthorizeResult(status=outcome.to_status())
    result = hold_service_pb2.AuthorizeResult(
        max_tokens=outcome.max_tokens,
        clamped=outcome.clamped,
        prices=[write_prices(prices) for prices in outcome.prices],
        rate_limits=map(write_rate, outcome.rates),
    )
    _write_hold(outcome, result.hold)
    return result


def write_rate(rate: Rate) -> limit_pb2.RateLimit:
    """Write how a rate stands."""
    seconds, milliseconds = divmod(rate.reset_ms, 1000)
    return limit_pb2.RateLimit(
        unit=cast("limit_pb2.LimitUnit", rate.unit),
        value=rate.value,
        remaining=rate.remaining,
        reset_after=Duration(seconds=seconds, nanos=milliseconds * 1_000_000),
    )


def write_extend(command: Extend, outcome: Outcome) -> hold_service_pb2.ExtendResult:
    """Write what became of a hold."""
    if isinstance(outcome, ServiceError):
        return hold_service_pb2.ExtendResult(status=outcome.to_status())
    result = hold_service_pb2.ExtendResult(
        max_tokens=outcome.max_tokens, clamped=command.max_tokens > outcome.max_tokens
    )
    _write_hold(outcome, result.hold)
    return result


def write_settle(outcome: Outcome) -> hold_service_pb2.SettleResult:
    """Write what was charged."""
    if isinstance(outcome, ServiceError):
        return hold_service_pb2.SettleResult(status=outcome.to_status())
    return hold_service_pb2.SettleResult(cost_nanos=outcome.cost_nanos, late=outcome.late)


def write_release(outcome: Outcome) -> hold_service_pb2.ReleaseResult:
    """Write that a hold is given back."""
    if isinstance(outcome, ServiceError):
        return hold_service_pb2.ReleaseResult(status=outcome.to_status())
    return hold_service_pb2.ReleaseResult()


@lru_cache(maxsize=4096)
def write_prices(prices: Prices) -> hold_pb2.TokenPrices:
    """Write prices; the message is shared, and copied into whatever it is put."""
    return hold_pb2.TokenPrices(
        sku=prices.sku,
        input_nanos_per_million=prices.input,
        cache_read_nanos_per_million=prices.cache_read,
        cache_write_nanos_per_million=prices.cache_write,
        output_nanos_per_million=prices.output,
        reasoning_nanos_per_million=prices.reasoning,
        book_version=prices.book_version,
    )


def _write_hold(hold: Hold, message: hold_pb2.Hold) -> None:
    """Write a hold where it belongs: a message that is put into another one is copied."""
    message.operation_id = hold.operation_id
    message.organization = hold.payer.organization
    message.amount_nanos = hold.amount_nanos
    message.state = cast("hold_pb2.HoldState", hold.state)
    _write_time(hold.create_us, message.create_time)
    _write_time(hold.expire_us, message.expire_time)


def _write_time(at_us: int, message: Timestamp) -> None:
    message.seconds, rest_us = divmod(at_us, SECOND_US)
    message.nanos = rest_us * 1000


def _payer(context: request_context_pb2.RequestContext) -> Payer:
    # The user is what a caller says it is; PostgreSQL keeps no text with a NUL in it.
    if "\0" in context.user:
        raise InvalidArgument("INVALID_ARGUMENT", "A NUL in a user's id.", metadata={"field": "context.user"})
    return Payer(context.organization, context.user, context.team, context.api_key)


def _deadline_us(context: request_context_pb2.RequestContext) -> int:
    return from_timestamp(context.deadline_time) if context.HasField("deadline_time") else 0


def _take_holder(item: hold_service_pb2.AuthorizeItem) -> str:
    """Read who runs the operation, and take it out of the body: a retry may come from elsewhere."""
    holder = item.holder
    item.ClearField("holder")
    return holder


def _hash(item: Message, payer: Payer) -> bytes:
    """Tell bodies apart. Who pays is part of a body; trace and deadline, which differ in a retry, are not."""
    item.ClearField("context")
    body = item.SerializeToString(deterministic=True)
    who = f"{payer.user}\0{payer.team}\0{payer.api_key}\0"
    return hashlib.blake2b(who.encode() + body, digest_size=HASH_BYTES).digest()
