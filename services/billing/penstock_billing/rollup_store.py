"""Sums of usage, read from the sums that are kept and from what they do not have yet: exact to the nano-dollar.

The middle of a span comes from days and hours. What is left of it at its ends comes from lines, and so do lines that
are not folded yet. All of it is one snapshot.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.billing.v1 import usage_pb2
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from penstock_billing import refusals
from penstock_billing.clock import CLOCKS_DIFFER_US, DAY_US, HOUR_US
from penstock_billing.line_sums import line_sums, pending_lines, start_of, tag_of
from penstock_billing.report_tables import archived_days, spend_hours, usage_pending, usage_rollups
from penstock_billing.span import Part, Span, cut
from penstock_billing.sums import SUMS, Grain
from penstock_billing.tables import usage_lines
from penstock_billing.transactions import take_snapshot

_NAMES: dict[int, str] = {
    usage_pb2.USAGE_DIMENSION_MODEL: "model",
    usage_pb2.USAGE_DIMENSION_USER: "user_id",
    usage_pb2.USAGE_DIMENSION_TEAM: "team_id",
    usage_pb2.USAGE_DIMENSION_API_KEY: "api_key_id",
    usage_pb2.USAGE_DIMENSION_ENDPOINT: "endpoint",
    usage_pb2.USAGE_DIMENSION_OUTCOME: "outcome",
}
_SPANS_US: dict[int, int] = {usage_pb2.USAGE_DIMENSION_HOUR: HOUR_US, usage_pb2.USAGE_DIMENSION_DAY: DAY_US}
_BY_MODEL: set[int] = {
    usage_pb2.USAGE_DIMENSION_MODEL,
    usage_pb2.USAGE_DIMENSION_ENDPOINT,
    usage_pb2.USAGE_DIMENSION_OUTCOME,
    *_SPANS_US,
}


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Which usage to sum, and by what. Times of the operations' ends, in microseconds; the end is exclusive.

    Args:
        tag_key: the label whose value a grouping by TAG means.
    """

    organization: str
    start_us: int
    end_us: int
    group_by: tuple[int, ...]
    tag_key: str = ""


def sum_usage(
    connection: Connection, question: UsageQuestion, offset: int, items_max: int
) -> Sequence[Sequence[Any]]:
    """Sum usage by group, dearest first. Each row is the group's values in order, then SUMS.

    Raises:
        InvalidArgument: the span begins or ends within an hour whose lines are archived (INVALID_ARGUMENT).
    """
    take_snapshot(connection)
    of_organization = usage_pending.c.organization == question.organization
    pending_us = connection.scalar(select(func.min(usage_pending.c.post_us)).where(of_organization))
    every = union_all(*_pieces(question, pending_us)).subquery()
    groups = [every.c[_group(place)] for place in range(len(question.group_by))]
    totals = {name: _total(every.c[name]) for name in SUMS}
    sums = (
        select(*groups, *totals.values())
        .group_by(*groups)
        .order_by(totals["cost_nanos"].desc(), *groups)
        .offset(offset)
        .limit(items_max)
    )
    found = connection.execute(sums).all()
    _refuse_archived(connection, question)
    return found


def sum_spend(connection: Connection, subject: str, start_us: int) -> dict[int, int]:
    """Sum what a budget's subject was charged since a whole hour, by hour of posting."""
    organization, _, of = subject.partition("/")
    kind, _, who = of.partition("/")
    folded = select(spend_hours.c.start_us, spend_hours.c.cost_nanos).where(
        spend_hours.c.subject == subject, spend_hours.c.start_us >= start_us
    )
    lines = usage_lines.c
    pending = (
        select(start_of(lines.post_us, HOUR_US), lines.cost_nanos)
        .select_from(pending_lines)
        .where(usage_pending.c.organization == organization, lines.post_us >= start_us)
    )
    if kind:
        pending = pending.where(lines[f"{kind}_id"] == who)
    every = union_all(folded, pending).subquery()
    begin, cost = every.c
    rows = connection.execute(select(begin, func.sum(cost)).group_by(begin))
    return {int(row[0]): int(row[1]) for row in rows}


def _refuse_archived(connection: Connection, question: UsageQuestion) -> None:
    """Refuse what only lines could tell that are not there any more."""
    starts_us = [start_us for start_us, _ in _cut(question).lines]
    if not starts_us:
        return
    since_us = min(starts_us) - CLOCKS_DIFFER_US - DAY_US
    archived = exists().where(
        archived_days.c.organization == question.organization, archived_days.c.start_us > since_us
    )
    if connection.scalar(select(archived)):
        raise refusals.invalid("Usage of since then is archived; ask for whole hours.", "start_time")


def _cut(question: UsageQuestion) -> Span:
    by_day = usage_pb2.USAGE_DIMENSION_HOUR not in question.group_by and not _is_by_model(question)
    return cut(question.start_us, question.end_us, by_day=by_day)


def _is_by_model(question: UsageQuestion) -> bool:
    return set(question.group_by) <= _BY_MODEL


def _pieces(question: UsageQuestion, pending_us: int | None) -> Iterator[Select[Any]]:
    """Give the parts of an answer; `pending_us` is when the oldest line was posted that no sum has yet."""
    span = _cut(question)
    if span.lines or span.summed is None:
        yield _lines(question, span.lines, None)
    if span.summed is not None and pending_us is not None:
        yield _lines(question, (span.summed,), pending_us)
    for part in span.days:
        yield _rolled(question, Grain.DAY, part)
    for part in span.hours:
        yield _rolled(question, Grain.HOUR_BY_MODEL if _is_by_model(question) else Grain.HOUR, part)


def _rolled(question: UsageQuestion, grain: Grain, part: Part) -> Select[Any]:
    rolled = usage_rollups.c
    groups = _groups(question, rolled.start_us, rolled.__getitem__, rolled.tag)
    return select(*groups, *(rolled[name] for name in SUMS)).where(
        rolled.organization == question.organization,
        rolled.tag_key == question.tag_key,
        rolled.grain == grain.value,
        rolled.start_us >= part[0],
        rolled.start_us < part[1],
    )


def _lines(question: UsageQuestion, parts: Sequence[Part], pending_us: int | None) -> Select[Any]:
    """Sum lines one by one: all of the parts, or those that are pending."""
    first_us = min((start_us for start_us, _ in parts), default=0) - CLOCKS_DIFFER_US
    since_us = max(first_us, pending_us or first_us)

    def is_posted(post_us: ColumnElement[int]) -> ColumnElement[bool]:
        return post_us >= since_us

    lines = usage_lines.c
    groups = _groups(question, lines.end_us, lines.__getitem__, tag_of(question.tag_key))
    sums = (column.label(name) for name, column in zip(SUMS, line_sums(is_posted), strict=True))
    within = or_(False, *((lines.end_us >= start_us) & (lines.end_us < end_us) for start_us, end_us in parts))
    # Of pending lines there are few: the plan begins with them.
    among, organization = (
        (usage_lines, lines.organization)
        if pending_us is None
        else (pending_lines, usage_pending.c.organization)
    )
    return (
        select(*groups, *sums)
        .select_from(among)
        .where(organization == question.organization, within, is_posted(lines.post_us))
    )


def _groups(
    question: UsageQuestion,
    at_us: ColumnElement[int],
    column: Callable[[str], ColumnElement[Any]],
    tag: ColumnElement[str],
) -> list[ColumnElement[Any]]:
    """Give the values of the dimensions, under the names that the pieces share."""
    values: list[ColumnElement[Any]] = []
    for dimension in question.group_by:
        if dimension in _SPANS_US:
            values.append(start_of(at_us, _SPANS_US[dimension]))
        elif dimension == usage_pb2.USAGE_DIMENSION_TAG:
            values.append(tag)
        else:
            values.append(column(_NAMES[dimension]))
    return [value.label(_group(place)) for place, value in enumerate(values)]


def _group(place: int) -> str:
    return f"group_{place}"


def _total(column: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums 64-bit integers to a numeric; ours are 64-bit integers again.
    return cast(func.coalesce(func.sum(column), literal(0)), BigInteger)
