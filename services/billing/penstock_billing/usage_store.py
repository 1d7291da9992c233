"""Usage lines in the database: sums and single lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.billing.v1 import usage_pb2
from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, literal, select, tuple_

from penstock_billing.clock import DAY_US, HOUR_US
from penstock_billing.tables import usage_lines
from penstock_billing.usage import UsageLine

_lines = usage_lines.c


def _start_of(span_us: int) -> ColumnElement[int]:
    # Written out, because two parameters of equal value are not one expression to GROUP BY.
    return _lines.end_us - _lines.end_us % literal(span_us, BigInteger, literal_execute=True)


DIMENSIONS: dict[int, ColumnElement[Any]] = {
    usage_pb2.USAGE_DIMENSION_MODEL: _lines.model,
    usage_pb2.USAGE_DIMENSION_USER: _lines.user_id,
    usage_pb2.USAGE_DIMENSION_TEAM: _lines.team_id,
    usage_pb2.USAGE_DIMENSION_API_KEY: _lines.api_key_id,
    usage_pb2.USAGE_DIMENSION_ENDPOINT: _lines.endpoint,
    usage_pb2.USAGE_DIMENSION_OUTCOME: _lines.outcome,
    usage_pb2.USAGE_DIMENSION_HOUR: _start_of(HOUR_US),
    usage_pb2.USAGE_DIMENSION_DAY: _start_of(DAY_US),
}


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Which lines to sum, and by what. Times of the operations' ends, in microseconds; the end is exclusive."""

    organization: str
    start_us: int
    end_us: int
    group_by: tuple[int, ...]


def sum_usage(
    connection: Connection, question: UsageQuestion, offset: int, items_max: int
) -> Sequence[Sequence[Any]]:
    """Sum usage by group, dearest first.

    Each row is the group's values in order, then operations, attempts, the five token classes, cost and avoided cost.
    """
    groups = [
        DIMENSIONS[dimension].label(f"group_{place}") for place, dimension in enumerate(question.group_by)
    ]
    cost = _sum(_lines.cost_nanos)
    sums = (
        select(
            *groups,
            func.count(_lines.operation_id.distinct()),
            func.count(),
            _sum(_lines.input_tokens),
            _sum(_lines.cache_read_tokens),
            _sum(_lines.cache_write_tokens),
            _sum(_lines.output_tokens),
            _sum(_lines.reasoning_tokens),
            cost,
            _sum(_lines.avoided_cost_nanos),
        )
        .where(
            _lines.organization == question.organization,
            _lines.end_us >= question.start_us,
            _lines.end_us < question.end_us,
        )
        .group_by(*groups)
        .order_by(cost.desc(), *groups)
        .offset(offset)
        .limit(items_max)
    )
    return connection.execute(sums).all()


def list_usage(
    connection: Connection,
    organization: str,
    operation_id: str,
    before: Sequence[int | str] | None,
    items_max: int,
) -> list[UsageLine]:
    """Read lines, newest first; `before` is the (end, operation, attempt) of the last line of the page before."""
    order = (_lines.end_us, _lines.operation_id, _lines.attempt)
    page = select(*(usage_lines.c[field] for field in UsageLine.__dataclass_fields__))
    page = page.where(_lines.organization == organization)
    if operation_id:
        page = page.where(_lines.operation_id == operation_id)
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    page = page.order_by(*(column.desc() for column in order)).limit(items_max)
    return [UsageLine(*row) for row in connection.execute(page)]


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums 64-bit integers to a numeric; ours are 64-bit integers again.
    return cast(func.coalesce(func.sum(column), 0), BigInteger)
