"""Fold usage lines into the sums that people read.

A line is pending from its posting on, in the same transaction. A fold reads pending lines in one snapshot, adds them to
every sum and ends their being pending, in one transaction: a crash leaves either all of it or nothing. What reads sums
adds the lines that are pending (`rollup_store`), so it never sees a line twice or not at all.

The store groups the lines, `sums` says which sums each group counts for, and a statement a table adds them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    bindparam,
    cast,
    delete,
    func,
    select,
    text,
)

from penstock_billing.clock import HOUR_US
from penstock_billing.line_sums import line_sums, pending_lines, start_of, tag_of
from penstock_billing.report_tables import charge_days, spend_hours, usage_pending, usage_rollups
from penstock_billing.statements import Save
from penstock_billing.sums import SUMS, LineGroup, charge_rows, rollup_rows, spend_rows
from penstock_billing.tables import usage_lines

# One snapshot, and lines by their keys: statistics of a table that grows mislead planners into reading all of it.
_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_FOLD_LOCK = 0x464F4C44
_LOCK_BY_KEY = select(
    func.pg_try_advisory_xact_lock(_FOLD_LOCK),
    *(
        func.set_config(setting, "off", True)
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
    ),
)
_OLDEST = (
    select(usage_pending.c.pending_id, usage_pending.c.post_us)
    .order_by(usage_pending.c.pending_id)
    .limit(bindparam("lines_max"))
    .subquery()
)
# Ends of what is folded: so no statement walks over what earlier folds left, and only its days are looked at.
_ENDS = select(
    *(
        end(column).label(f"{which}_{column.name}")
        for which, end in (("first", func.min), ("last", func.max))
        for column in _OLDEST.c
    )
)
_FOLDED = usage_pending.c.pending_id.between(bindparam("first_pending_id"), bindparam("last_pending_id"))
_END = delete(usage_pending).where(_FOLDED)

ADD_ROLLUPS = Save.insert(usage_rollups, usage_rollups.c.keys(), adding=SUMS)
ADD_SPEND = Save.insert(spend_hours, spend_hours.c.keys(), adding=("cost_nanos",))
ADD_CHARGES = Save.insert(charge_days, charge_days.c.keys(), adding=SUMS)


def fold(connection: Connection, tag_keys: Sequence[str], lines_max: int) -> int:
    """Fold the oldest pending lines, and give how many there were; 0 also while another replica folds."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_SNAPSHOT)
        if not connection.execute(_LOCK_BY_KEY).one()[0]:
            return 0
    ends = connection.execute(_ENDS, {"lines_max": lines_max}).mappings().one()
    if ends["last_pending_id"] is None:
        return 0
    groups = _read_groups(connection, tuple(tag_keys), ends)
    for save, rows in (
        (ADD_ROLLUPS, rollup_rows(groups, tag_keys)),
        (ADD_SPEND, spend_rows(groups)),
        (ADD_CHARGES, charge_rows(groups)),
    ):
        if rows:
            save.execute(connection, rows)
    return connection.execute(_END, dict(ends)).rowcount


def _read_groups(connection: Connection, tag_keys: tuple[str, ...], ends: RowMapping) -> list[LineGroup]:
    """Read pending lines, those that no sum tells apart as one."""
    totals = -len(SUMS)
    tags = totals - len(tag_keys)
    return [
        LineGroup._make((*row[:tags], tuple(row[tags:totals]), tuple(row[totals:])))
        for row in connection.execute(_grouped(tag_keys), dict(ends))
    ]


@lru_cache
def _grouped(tag_keys: tuple[str, ...]) -> Select[Any]:
    lines = usage_lines.c
    group = (
        *(lines[name] for name in LineGroup._fields if name in lines),
        start_of(lines.end_us, HOUR_US),
        start_of(lines.post_us, HOUR_US),
        *map(tag_of, tag_keys),
    )
    # PostgreSQL sums 64-bit integers to a numeric; ours are 64-bit integers again.
    return (
        select(*group, *(cast(func.sum(column), BigInteger) for column in line_sums(_is_posted)))
        .select_from(pending_lines)
        .where(_FOLDED, _is_posted(lines.post_us))
        .group_by(*group)
    )


def _is_posted(post_us: ColumnElement[int]) -> ColumnElement[bool]:
    return post_us.between(bindparam("first_post_us"), bindparam("last_post_us"))
