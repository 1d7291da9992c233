"""Prove the books: recompute from the ledger all that is kept beside it, and name every difference.

`python -m penstock_billing.audit` does so on the store that the settings name; it exits 1 when something differs.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Column, ColumnElement, Connection, FromClause, func, select
from sqlalchemy.sql import Select

from penstock_billing.budget_store import count_held, count_spent
from penstock_billing.clock import to_us, utc_now
from penstock_billing.invoice import InvoiceKind
from penstock_billing.limit import Unit
from penstock_billing.line_sums import pending_lines
from penstock_billing.report_tables import (
    archived_days,
    charge_days,
    invoices,
    spend_hours,
    usage_pending,
    usage_rollups,
)
from penstock_billing.rows import BUDGET, HOLD, LIMIT, read_budget, read_hold, read_limit
from penstock_billing.settings import BillingSettings
from penstock_billing.sums import Grain
from penstock_billing.tables import budgets, entries, hold_is_open, holds, limit_counts, limits, usage_lines
from penstock_billing.transactions import open_transactions, take_snapshot


@dataclass(frozen=True, slots=True)
class Difference:
    """What is kept beside the ledger and is not what the ledger says."""

    what: str
    of: str
    kept: int
    recomputed: int


def verify(connection: Connection, now_us: int) -> list[Difference]:
    """Recompute everything, in one snapshot; empty when the books are right.

    Every entry sums to zero. Per organization, what the entries hold is the sum of the open holds, and what they
    charged is the sum of the settled holds, and of the usage lines, less what credit notes took back. Lines are what
    every sum for people comes to, with those that are not in it yet. Invoices are what was posted before they ended.
    Per budget, the counters are what its subject's spend and open holds sum to.
    """
    take_snapshot(connection)
    return [
        *_unbalanced(connection),
        *_accounts(connection),
        *_folded(connection),
        *_invoiced(connection),
        *_counters(connection, now_us),
        *_in_flight(connection),
    ]


def _unbalanced(connection: Connection) -> Iterator[Difference]:
    total = entries.c.available_nanos + entries.c.held_nanos + entries.c.revenue_nanos
    for row in connection.execute(select(entries.c.entry_id, total.label("total")).where(total != 0)):
        yield Difference("entry", str(row.entry_id), row.total, 0)


def _accounts(connection: Connection) -> Iterator[Difference]:
    # What credit notes took back was charged before, and is no usage that was not.
    notes = invoices.c.kind == InvoiceKind.CREDIT_NOTE.value
    credited = _sums(connection, _by_organization(invoices, invoices.c.total_nanos, notes))
    held, revenue = _posted(connection, entries.c.held_nanos), _posted(connection, entries.c.revenue_nanos)
    for what, kept, ledger in (
        ("held", _sums(connection, _by_organization(holds, holds.c.amount_nanos, hold_is_open)), held),
        ("charged", _sums(connection, _by_organization(holds, holds.c.cost_nanos)), revenue),
        ("usage", _posted(connection, usage_lines.c.cost_nanos), revenue),
    ):
        for organization in sorted(kept.keys() | ledger.keys()):
            back = 0 if what == "held" else credited.get(organization, 0)
            pair = kept.get(organization, 0) + back, ledger.get(organization, 0)
            if pair[0] != pair[1]:
                yield Difference(what, organization, *pair)


def _folded(connection: Connection) -> Iterator[Difference]:
    lines = _posted(connection, usage_lines.c.cost_nanos)
    pending = _sums(
        connection,
        select(usage_pending.c.organization, func.sum(usage_lines.c.cost_nanos))
        .select_from(pending_lines)
        .group_by(usage_pending.c.organization),
    )
    spend = select(spend_hours.c.subject, func.sum(spend_hours.c.cost_nanos)).where(
        spend_hours.c.subject.not_like("%/%")
    )
    for what, query in (
        ("charges", _by_organization(charge_days, charge_days.c.cost_nanos)),
        ("spend", spend.group_by(spend_hours.c.subject)),
        *(
            (
                f"usage by {grain.name.lower()}",
                _by_organization(usage_rollups, usage_rollups.c.cost_nanos, *of),
            )
            for grain in Grain
            for of in [(usage_rollups.c.grain == grain.value, usage_rollups.c.tag_key == "")]
        ),
    ):
        folded = _sums(connection, query)
        for organization in sorted(lines.keys() | folded.keys()):
            kept = folded.get(organization, 0) + pending.get(organization, 0)
            if kept != lines.get(organization, 0):
                yield Difference(what, organization, kept, lines.get(organization, 0))


def _invoiced(connection: Connection) -> Iterator[Difference]:
    """Check that invoices sum to what was posted before the last of them ended."""
    charges = _by_organization(invoices, invoices.c.total_nanos, invoices.c.kind == InvoiceKind.INVOICE.value)
    of = invoices.c.organization
    ends = select(of, func.max(invoices.c.end_us).label("end_us")).group_by(of).subquery()
    posted: Counter[str] = Counter()
    for table, at_us in ((usage_lines, usage_lines.c.post_us), (archived_days, archived_days.c.start_us)):
        is_before = (table.c.organization == ends.c.organization) & (at_us < ends.c.end_us)
        posted.update(_sums(connection, _by_organization(table, table.c.cost_nanos, is_before)))
    for organization, charged in _sums(connection, charges).items():
        if charged != posted[organization]:
            yield Difference("invoiced", organization, charged, posted[organization])


def _counters(connection: Connection, now_us: int) -> Iterator[Difference]:
    for row in connection.execute(select(*(budgets.c[name] for name in BUDGET))).all():
        budget = read_budget(row)
        budget.roll(now_us)
        spent, held = count_spent(connection, budget), count_held(connection, budget)
        if budget.spent_nanos != spent:
            yield Difference("spent", budget.name, budget.spent_nanos, spent)
        if budget.held_nanos != held:
            yield Difference("held", budget.name, budget.held_nanos, held)


def _in_flight(connection: Connection) -> Iterator[Difference]:
    """Check that what runs at once is counted as the open holds took it."""
    bounds = [read_limit(row) for row in connection.execute(select(*(limits.c[name] for name in LIMIT)))]
    prefixes = tuple(f"{limit.prefix}/" for limit in bounds if limit.unit is Unit.IN_FLIGHT)
    open_holds = select(*(holds.c[name] for name in HOLD)).where(hold_is_open)
    running = Counter(
        taking.key for row in connection.execute(open_holds) for taking in read_hold(row).takings
    )
    counted = {row.key: row.level for row in connection.execute(select(limit_counts))}
    for key in sorted(counted.keys() | running.keys()):
        if key.startswith(prefixes) and counted.get(key, 0) != running[key]:
            yield Difference("in flight", key, counted.get(key, 0), running[key])


def _posted(connection: Connection, column: Column[int]) -> dict[str, int]:
    """Sum entries or lines, those of archived days, too."""
    posted = Counter(_sums(connection, _by_organization(column.table, column)))
    posted.update(_sums(connection, _by_organization(archived_days, archived_days.c[column.name])))
    return posted


def _by_organization(
    table: FromClause, column: ColumnElement[int], *where: ColumnElement[bool]
) -> Select[str, int]:
    organization = table.c.organization
    return select(organization, func.sum(column)).where(*where).group_by(organization)


def _sums(connection: Connection, query: Select[str, int]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in connection.execute(query)}


async def _main() -> int:
    settings = BillingSettings.load()
    async with open_transactions(settings, command_seconds_max=None) as transactions:
        differences = await transactions.read(partial(verify, now_us=to_us(utc_now())))
    for difference in differences:
        print(difference)  # noqa: T201 - for the person who asked
    print(f"{len(differences)} differences")  # noqa: T201
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
