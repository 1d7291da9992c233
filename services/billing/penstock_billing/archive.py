"""Take a day out of the ledger on PostgreSQL, for an archive: `python -m penstock_billing.archive 2026-01-31`.

What its entries and lines came to is carried forward in `archived_days`, so that the books still balance; all sums that
people read stay. The tables of the day are left beside the others, for whoever dumps and drops them.
"""

import argparse
import asyncio
import sys
from datetime import UTC, date, datetime, time
from functools import partial

from servicekit.errors import ServiceError
from sqlalchemy import Connection, text

from penstock_billing.clock import CLOCKS_DIFFER_US, rfc3339, to_us, utc_now
from penstock_billing.partitions import KEYS, Part, list_parts
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import open_transactions

# Of each day of the parts: sums whose fold is not done yet, or not right, would never be again.
_PENDING = "SELECT EXISTS (SELECT FROM usage_pending WHERE post_us >= {start} AND post_us < {end})"
_UNLIKE_SUMS = """
SELECT EXISTS (
  SELECT FROM (SELECT organization, sum(cost_nanos) AS nanos FROM {usage_lines} GROUP BY 1) AS lines
  FULL JOIN (
    SELECT organization, sum(cost_nanos) AS nanos FROM charge_days
    WHERE start_us >= {start} AND start_us < {end} GROUP BY 1
  ) AS sums USING (organization)
  WHERE coalesce(lines.nanos, 0) <> coalesce(sums.nanos, 0)
)
"""
_CARRY_FORWARD = """
INSERT INTO archived_days (organization, start_us, held_nanos, revenue_nanos, cost_nanos)
SELECT organization, post_us - post_us % 86400000000, sum(held_nanos), sum(revenue_nanos), sum(cost_nanos) FROM (
  SELECT organization, post_us, held_nanos, revenue_nanos, 0 AS cost_nanos FROM {entries}
  UNION ALL SELECT organization, post_us, 0, 0, cost_nanos FROM {usage_lines}
) AS posted GROUP BY 1, 2
"""


class ArchiveError(Exception):
    """The day cannot be archived; says why."""


def archive(connection: Connection, day_us: int, now_us: int) -> list[str]:
    """Archive the part that a day of posting lies in, and give the names of its tables.

    Raises:
        ArchiveError: there is no such part, it may still be posted to, or its sums are not folded or not right.
    """
    if connection.dialect.name != "postgresql":
        raise ArchiveError("SQLite keeps all days in one table.")
    parts = {table: _part(connection, table, day_us) for table in KEYS}
    part = parts["usage_lines"]
    if (part.start_us, part.end_us) != (parts["entries"].start_us, parts["entries"].end_us):
        raise ArchiveError("Its entries and its lines are not of the same days.")
    if part.end_us > now_us - CLOCKS_DIFFER_US:
        raise ArchiveError(f"It may be posted to until {rfc3339(part.end_us + CLOCKS_DIFFER_US)}.")
    names = {table: part.name for table, part in parts.items()}
    connection.execute(text(f"LOCK TABLE {', '.join(names.values())} IN SHARE MODE"))
    for query in (_PENDING, _UNLIKE_SUMS):
        if connection.scalar(text(query.format(start=part.start_us, end=part.end_us, **names))):
            raise ArchiveError(
                "Its sums are not what its lines come to; wait for the fold, or ask the audit."
            )
    connection.execute(text(_CARRY_FORWARD.format(**names)))
    # Who posts waits while this waits for who reads.
    connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    for table, name in names.items():
        connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
    return sorted(names.values())


def _part(connection: Connection, table: str, day_us: int) -> Part:
    for part in list_parts(connection, table):
        if part.has(day_us):
            return part
    raise ArchiveError("The day has no part of its own.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m penstock_billing.archive", description=__doc__)
    parser.add_argument("day", type=date.fromisoformat, help="a day of posting, UTC, as 2026-01-31")
    return parser.parse_args()


async def _main() -> None:
    day = datetime.combine(_arguments().day, time(), UTC)
    async with open_transactions(BillingSettings.load(), command_seconds_max=None) as transactions:
        take = partial(archive, day_us=to_us(day), now_us=to_us(utc_now()))
        try:
            names = await transactions.write(take)
        except (ArchiveError, ServiceError) as error:
            sys.exit(f"billing: {error}")
    print("\n".join(names))  # noqa: T201 - for the person who asked


if __name__ == "__main__":
    asyncio.run(_main())
