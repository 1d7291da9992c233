"""Holds and the ledger in the database: what a list needs, and what it changed, in one statement a table."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, func, insert, select, update

from penstock_billing.books import Books
from penstock_billing.budget import Budget, subject_paths
from penstock_billing.commands import Command, Expire
from penstock_billing.ledger import Hold, Payer
from penstock_billing.prices import PriceBook
from penstock_billing.rows import (
    BUDGET_CHANGES,
    HOLD_CHANGES,
    budget_change,
    entry_row,
    hold_change,
    hold_row,
    read_budget,
    read_hold,
)
from penstock_billing.tables import budgets, entries, hold_is_open, holds, price_books, usage_lines


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Keep other replicas off these names until the transaction ends. SQLite has one writer, and needs no lock.

    One lock an organization covers all that an organization's rows have to agree on: no other replica can admit between
    the reading of a budget and the writing of its counters, insert the same operation, or make a budget that does not
    see this transaction's holds. Taken in order, so that no two transactions wait for each other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"keys": sorted({_lock_key(name) for name in names})}).all()


def load_books(connection: Connection, prices: PriceBook, commands: Sequence[Command], now_us: int) -> Books:
    """Read every hold and every budget that these commands touch."""
    lock(connection, {command.payer.organization for command in commands})
    known = _read_holds(connection, [command.operation_id for command in commands])
    payers = {command.payer for command in commands} | {hold.payer for hold in known}
    subjects = {path for payer in payers for path in subject_paths(payer)}
    return Books(prices, now_us, known, _read_budgets(connection, sorted(subjects)))


def save_books(connection: Connection, books: Books) -> None:
    """Write what the commands changed: one statement a table, whatever their number."""
    changes = (
        (_INSERT_HOLDS, [hold_row(hold) for hold in books.new_holds]),
        (_UPDATE_HOLDS, [hold_change(hold) for hold in books.changed_holds]),
        (_INSERT_ENTRIES, [entry_row(entry) for entry in books.entries]),
        (_INSERT_USAGE, [vars(line) for line in books.usage]),
        (_UPDATE_BUDGETS, [budget_change(budget) for budget in books.changed_budgets]),
    )
    for statement, rows in changes:
        if rows:
            connection.execute(statement, rows)


def read_overdue(connection: Connection, now_us: int, items_max: int) -> list[Expire]:
    """Find holds whose lease ran out, the longest overdue first."""
    overdue = (
        select(holds.c.organization, holds.c.operation_id)
        .where(hold_is_open, holds.c.expire_us <= now_us)
        .order_by(holds.c.expire_us)
        .limit(items_max)
    )
    return [Expire(Payer(row.organization), row.operation_id) for row in connection.execute(overdue)]


def keep_price_book(connection: Connection, book: PriceBook, now_us: int) -> None:
    """Keep the book for ever, so that the version on a usage line can always be looked up."""
    lock(connection, {book.version})
    kept = select(price_books.c.version).where(price_books.c.version == book.version)
    if connection.execute(kept).first() is None:
        row = {"version": book.version, "content": book.content, "load_us": now_us}
        connection.execute(insert(price_books), row)


_LOCK = select(
    func.pg_advisory_xact_lock(func.unnest(bindparam("keys", type_=ARRAY(BigInteger))).column_valued("key"))
)
_SELECT_HOLDS = select(holds).where(holds.c.operation_id.in_(bindparam("ids", expanding=True)))
_SELECT_BUDGETS = select(budgets).where(budgets.c.subject.in_(bindparam("subjects", expanding=True)))
_INSERT_HOLDS = insert(holds)
_INSERT_ENTRIES = insert(entries)
_INSERT_USAGE = insert(usage_lines)
_UPDATE_HOLDS = (
    update(holds)
    .where(
        holds.c.operation_id == bindparam("b_operation_id"),
        holds.c.organization == bindparam("b_organization"),
    )
    .values({column: bindparam(column) for column in HOLD_CHANGES})
)
_UPDATE_BUDGETS = (
    update(budgets)
    .where(
        budgets.c.organization == bindparam("b_organization"),
        budgets.c.budget_id == bindparam("b_budget_id"),
    )
    .values({column: bindparam(column) for column in BUDGET_CHANGES})
)


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _read_holds(connection: Connection, operation_ids: list[str]) -> list[Hold]:
    return [read_hold(row) for row in connection.execute(_SELECT_HOLDS, {"ids": operation_ids})]


def _read_budgets(connection: Connection, subjects: list[str]) -> list[Budget]:
    return [read_budget(row) for row in connection.execute(_SELECT_BUDGETS, {"subjects": subjects})]
