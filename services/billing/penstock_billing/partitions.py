"""The days that entries and usage lines are kept by on PostgreSQL: each day of posting is a part of the table.

Days are made ahead. What is posted on a day that nobody made goes to the table's default part, so nothing is ever
refused for want of one; it is then read with every day. SQLite keeps one table.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from servicekit.logging import get_logger
from sqlalchemy import Connection, text

from penstock_billing.clock import DAY_US, from_us

# Each part has the key that the whole table has on SQLite. That an operation settles once, whatever the day, is what
# its hold says: holds are one table.
KEYS = {"entries": "entry_id", "usage_lines": "operation_id, organization, attempt"}

_LOCK = 0x44415953
# Who posts waits for a day that is made, and that waits for who reads all days: if not for long, it is made an hour
# later, days before anyone needs it.
_WAIT = "SET LOCAL lock_timeout = '500ms'"
_PARTS = text(
    "SELECT part.relname, pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits "
    "JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
)
_BOUNDS = re.compile(r"FROM \((?:MINVALUE|'(\d+)')\) TO \('(\d+)'\)")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A table of what was posted in [start, end)."""

    name: str
    start_us: int
    end_us: int

    def has(self, at_us: int) -> bool:
        """Tell whether what is posted at a time lies in it."""
        return self.start_us <= at_us < self.end_us


def make_days(connection: Connection, now_us: int, days: int) -> int:
    """Make what is missing of today and the days after it, and give how many parts that were; none on SQLite.

    Any number of replicas may do so at once.
    """
    if connection.dialect.name != "postgresql":
        return 0
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    connection.execute(text(_WAIT))
    today_us = now_us - now_us % DAY_US
    missing = [
        (table, day_us)
        for table in KEYS
        for parts in [list_parts(connection, table)]
        for day_us in range(today_us, today_us + days * DAY_US, DAY_US)
        if not any(part.has(day_us) for part in parts)
    ]
    return sum(_make_day(connection, table, day_us) for table, day_us in missing)


def list_parts(connection: Connection, table: str) -> list[Part]:
    """Give the parts of a table, but for the default one; the first may begin with time."""
    return [
        Part(name, int(bounds[1] or 0), int(bounds[2]))
        for name, bound in connection.execute(_PARTS, {"table": table})
        if (bounds := _BOUNDS.search(bound))
    ]


def _make_day(connection: Connection, table: str, day_us: int) -> bool:
    """Make a part; nothing of its day may be on the way to the default part meanwhile."""
    name = f"{table}_{from_us(day_us):%Y%m%d}"
    connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
    if any(connection.execute(text(query)).scalar() for query in _obstacles(table, name, day_us)):
        log.warning("day_not_made", table=table, day=name)
        return False
    span = f"FROM ({day_us}) TO ({day_us + DAY_US})"
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY ({KEYS[table]}))",
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {span}",
    ):
        connection.execute(text(statement))
    return True


def _obstacles(table: str, name: str, day_us: int) -> Iterator[str]:
    """Ask whether the day was archived already, and whether the default part has any of it."""
    yield f"SELECT to_regclass('{name}') IS NOT NULL"
    yield (
        f"SELECT EXISTS (SELECT FROM {table}_default WHERE post_us >= {day_us} AND post_us < {day_us + DAY_US})"  # noqa: S608 - integers
    )
