"""Fold usage lines into the sums that people read.

A line is pending from its posting on, in the same transaction. A fold reads pending lines in one snapshot, adds them to
every sum and ends their being pending, in one transaction: a crash leaves either all of it or nothing. What reads sums
adds the lines that are pending (`rollup_store`), so it never sees a line twice or not at all.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    SmallInteger,
    String,
    Subquery,
    Table,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite

from penstock_billing.clock import DAY_US, HOUR_US
from penstock_billing.line_sums import LINE_SUMS, pending_lines, start_of, tag_of
from penstock_billing.report_tables import (
    SUMS,
    Grain,
    charge_days,
    spend_hours,
    usage_pending,
    usage_rollups,
)
from penstock_billing.tables import usage_lines

# One snapshot, and lines by their keys: statistics of a table that grows mislead planners into reading all of it.
_POSTGRESQL_SETTINGS = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL jit = off",
)
_FOLD_LOCK = 0x464F4C44
_DIMENSIONS = ("model", "endpoint", "outcome", "team_id", "user_id", "api_key_id")
_PRICED = ("sku", "book_version")


def fold(connection: Connection, tag_keys: Sequence[str], lines_max: int) -> int:
    """Fold the oldest pending lines, and give how many there were; 0 also while another replica folds."""
    if connection.dialect.name == "postgresql":
        for setting in _POSTGRESQL_SETTINGS:
            connection.execute(text(setting))
        if not connection.execute(select(func.pg_try_advisory_xact_lock(_FOLD_LOCK))).scalar_one():
            return 0
    oldest = (
        select(usage_pending.c.pending_id, usage_pending.c.operation_id)
        .order_by(usage_pending.c.pending_id)
        .limit(lines_max)
    )
    found = connection.execute(oldest).all()
    if not found:
        return 0
    last = found[-1].pending_id
    batch = _batch(last, {row.operation_id for row in found}, tag_keys)
    for table, rows in (
        (usage_rollups, _rollups(batch, tag_keys)),
        (spend_hours, _spend(batch)),
        (charge_days, _charges(batch)),
    ):
        _add(connection, table, rows)
    return connection.execute(delete(usage_pending).where(usage_pending.c.pending_id <= last)).rowcount


def _batch(last: int, operation_ids: Collection[str], tag_keys: Sequence[str]) -> CTE:
    """Read each pending line once, with all that any sum needs of it.

    Operations are named, so that lines are looked up by their key: statistics of a table that is empty most of the time
    mislead planners into reading all lines there are.
    """
    lines = usage_lines.c
    return (
        select(
            lines.organization,
            *(lines[name] for name in (*_DIMENSIONS, *_PRICED)),
            start_of(lines.end_us, HOUR_US).label("end_hour"),
            start_of(lines.end_us, DAY_US).label("end_day"),
            start_of(lines.post_us, HOUR_US).label("post_hour"),
            start_of(lines.post_us, DAY_US).label("post_day"),
            *(tag_of(key).label(_tag_column(place)) for place, key in enumerate(tag_keys)),
            *(column.label(name) for name, column in zip(SUMS, LINE_SUMS, strict=True)),
        )
        .select_from(pending_lines)
        .where(usage_pending.c.pending_id <= last, usage_lines.c.operation_id.in_(sorted(operation_ids)))
        .cte("batch")
        .prefix_with("MATERIALIZED")
    )


def _rollups(batch: CTE, tag_keys: Sequence[str]) -> Subquery:
    grains = [(Grain.HOUR_BY_MODEL, ""), (Grain.HOUR, ""), (Grain.DAY, "")]
    grains += [(grain, key) for key in tag_keys for grain in (Grain.HOUR, Grain.DAY)]
    fan = _values([(literal(grain.value, SmallInteger), literal(key, String)) for grain, key in grains])
    grain, tag_key = fan.c.value_0, fan.c.value_1
    wide = grain != Grain.HOUR_BY_MODEL.value
    tags = [(tag_key == key, batch.c[_tag_column(place)]) for place, key in enumerate(tag_keys)]
    rows = select(
        batch.c.organization,
        tag_key.label("tag_key"),
        grain.label("grain"),
        case((grain == Grain.DAY.value, batch.c.end_day), else_=batch.c.end_hour).label("start_us"),
        *(batch.c[name] for name in ("model", "endpoint", "outcome")),
        *(case((wide, batch.c[name]), else_="").label(name) for name in ("team_id", "user_id", "api_key_id")),
        (case(*tags, else_="") if tags else literal("")).label("tag"),
        *(batch.c[name] for name in SUMS),
    )
    return rows.select_from(batch.join(fan, true())).subquery("rows")


def _spend(batch: CTE) -> Subquery:
    """Count each line for every subject that `budget.subject_paths` names."""
    fan = _values([(literal(kind, String),) for kind in ("", "team", "user", "api_key")])
    kind = fan.c.value_0
    who = case(
        *((kind == name, batch.c[f"{name}_id"]) for name in ("team", "user", "api_key")), else_="organization"
    )
    path = batch.c.organization + literal("/") + kind + literal("/") + who
    return (
        select(
            case((kind == "", batch.c.organization), else_=path).label("subject"),
            batch.c.post_hour.label("start_us"),
            batch.c.cost_nanos,
        )
        .select_from(batch.join(fan, true()))
        .where(who != "", batch.c.cost_nanos != 0)
        .subquery("rows")
    )


def _charges(batch: CTE) -> Subquery:
    return select(
        batch.c.organization,
        batch.c.post_day.label("start_us"),
        *(batch.c[column.name] for column in charge_days.primary_key if column.name in batch.c),
        *(batch.c[name] for name in SUMS),
    ).subquery("rows")


def _add(connection: Connection, table: Table, rows: Subquery) -> None:
    key = [column.name for column in table.primary_key]
    sums = [column.name for column in table.columns if column.name not in key]
    summed: Select[Any] = select(
        *(rows.c[name] for name in key), *(func.sum(rows.c[name]) for name in sums)
    ).group_by(*(rows.c[name] for name in key))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).from_select([*key, *sums], summed)
    added = {name: table.c[name] + statement.excluded[name] for name in sums}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=added))


def _values(rows: Sequence[tuple[ColumnElement[Any], ...]]) -> Subquery:
    """Make a table of constants; SQLite cannot name the columns of VALUES."""
    selects = [
        select(*(cast(value, value.type).label(f"value_{place}") for place, value in enumerate(row)))
        for row in rows
    ]
    return union_all(*selects).subquery("fan")


def _tag_column(place: int) -> str:
    return f"tag_{place}"
