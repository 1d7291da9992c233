"""Holds and the ledger in the store: what a list needs, and what it changed, as the steps of one transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, delete, func, select

from penstock_billing import rows
from penstock_billing.books import Books, Loaded, Outcome
from penstock_billing.budget import subject_paths
from penstock_billing.commands import Authorize, Command, Expire
from penstock_billing.ledger import Hold, Payer
from penstock_billing.limit import Caller, Count, Limit
from penstock_billing.prices import PriceBook
from penstock_billing.statements import Find, Save
from penstock_billing.steps import Fetch, Lock, Steps, Write
from penstock_billing.tables import (
    budgets,
    entries,
    hold_is_open,
    holds,
    limit_counts,
    limits,
    usage_lines,
)
from penstock_billing.writers import lock_key

FIND_HOLDS = Find.by(holds, rows.HOLD, "operation_id")
FIND_BUDGETS = Find.by(budgets, rows.BUDGET, "subject")
FIND_LIMITS = Find.by(limits, rows.LIMIT, "organization")
FIND_COUNTS = Find.by(limit_counts, rows.COUNT, "key")
SAVE_HOLDS = Save.insert(holds, rows.HOLD)
SAVE_HOLD_CHANGES = Save.update(holds, (*rows.HOLD_CHANGES, "operation_id", "organization"))
SAVE_ENTRIES = Save.insert(entries, rows.ENTRY)
SAVE_USAGE = Save.insert(usage_lines, rows.USAGE_LINE)
SAVE_BUDGETS = Save.update(budgets, rows.BUDGET_CHANGES)
SAVE_COUNTS = Save.insert(limit_counts, rows.COUNT, changing=("level", "at_ms"))


def transact(
    prices: PriceBook, commands: Sequence[Command], now_us: int
) -> Steps[tuple[Books, list[Outcome]]]:
    """Be a transaction: read what the commands touch, decide on them one after the other, write what changed.

    One lock an organization covers all that an organization's rows have to agree on: no other replica can admit between
    the reading of a budget and the writing of its counters, insert the same operation, or make a budget that does not
    see this transaction's holds. Taken in order, so that no two transactions wait for each other.
    """
    yield Lock(sorted({command.payer.organization for command in commands}))
    loaded = yield from _load(commands)
    books = Books(prices, now_us, loaded)
    outcomes = [books.decide(command) for command in commands]
    yield from _save(books)
    return books, outcomes


def _load(commands: Sequence[Command]) -> Steps[Loaded]:
    found = yield Fetch(FIND_HOLDS, [command.operation_id for command in commands])
    known = [rows.read_hold(row) for row in found]
    payers = {command.payer for command in commands} | {hold.payer for hold in known}
    subjects = sorted({path for payer in payers for path in subject_paths(payer)})
    found = yield Fetch(FIND_BUDGETS, subjects)
    bounds = [rows.read_budget(row) for row in found]
    found = yield Fetch(FIND_LIMITS, sorted({payer.organization for payer in payers}))
    limits = [rows.read_limit(row) for row in found]
    counts = yield from _load_counts(limits, commands, known)
    return Loaded(known, bounds, limits, counts)


def _load_counts(
    limits: Sequence[Limit], commands: Sequence[Command], known: Sequence[Hold]
) -> Steps[Sequence[Count]]:
    keys = {taking.key for hold in known for taking in hold.takings}
    if limits:
        callers = {
            Caller(command.payer, command.model, command.tier)
            for command in commands
            if isinstance(command, Authorize)
        }
        keys |= {key for limit in limits for caller in callers if (key := limit.key(caller)) is not None}
    if not keys:
        return ()
    found = yield Fetch(FIND_COUNTS, sorted(keys))
    return [Count(*row) for row in found]


def _save(books: Books) -> Steps[None]:
    changes = (
        (SAVE_HOLDS, [rows.hold_row(hold) for hold in books.new_holds]),
        (SAVE_HOLD_CHANGES, [rows.hold_change(hold) for hold in books.moved_holds]),
        (SAVE_ENTRIES, [rows.entry_row(entry) for entry in books.entries]),
        (SAVE_USAGE, [rows.usage_row(line) for line in books.usage]),
        (SAVE_BUDGETS, [rows.budget_change(budget) for budget in books.changed_budgets]),
        (SAVE_COUNTS, [(count.key, count.level, count.at_ms) for count in books.changed_counts]),
    )
    yield Write([(save, written) for save, written in changes if written])


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Take the locks that `transact` takes. SQLite has one writer, and needs none."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"keys": sorted({lock_key(name) for name in names})}).all()


def forget_idle_counts(connection: Connection, before_ms: int, items_max: int) -> None:
    """Forget counts that nothing was added to since: rates have drained in a day, and nothing runs."""
    idle = select(limit_counts.c.key).where(limit_counts.c.at_ms < before_ms).limit(items_max)
    connection.execute(delete(limit_counts).where(limit_counts.c.key.in_(idle)))


def read_overdue(connection: Connection, now_us: int, grace_us: int, items_max: int) -> list[Expire]:
    """Find holds whose lease ended so long ago, the longest overdue first."""
    overdue = (
        select(holds.c.organization, holds.c.operation_id)
        .where(hold_is_open, holds.c.expire_us <= now_us - grace_us)
        .order_by(holds.c.expire_us)
        .limit(items_max)
    )
    return [
        Expire(Payer(row.organization), row.operation_id, grace_us) for row in connection.execute(overdue)
    ]


_LOCK = select(
    func.pg_advisory_xact_lock(func.unnest(bindparam("keys", type_=ARRAY(BigInteger))).column_valued("key"))
)
