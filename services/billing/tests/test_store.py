"""The schema: what the migrations make is what the code expects, and the ledger cannot be rewritten."""

import sqlite3
from functools import partial
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from penstock_billing import store
from penstock_billing.claims import Claim, claim_lapsed
from penstock_billing.settings import BillingSettings
from penstock_billing.statements import Find, Save
from penstock_billing.tables import metadata
from penstock_billing.transactions import open_transactions
from sqlalchemy import Connection, event, exc, text


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


async def test_the_migrations_make_the_tables_that_the_code_expects(
    settings: BillingSettings, url: str
) -> None:
    async with open_transactions(settings.model_copy(update={"database_url": url})) as transactions:
        assert await transactions.read(_differences) == []


@pytest.mark.parametrize("table", ["entries", "usage_lines"])
@pytest.mark.parametrize("change", ["UPDATE {} SET organization = 'other'", "DELETE FROM {}"])
async def test_what_was_posted_is_never_changed(
    start: Any, settings: BillingSettings, url: str, table: str, change: str
) -> None:
    async with start(database_url=url) as (billing, _server):
        await billing.authorize()
        await billing.settle(output=1)
    async with open_transactions(settings.model_copy(update={"database_url": url})) as transactions:
        with pytest.raises(exc.DBAPIError, match="immutable"):
            await transactions.write(partial(_execute, statement=change.format(table)))


async def test_counters_change_without_their_indexes_on_postgresql(
    start: Any, settings: BillingSettings, postgres_url: str
) -> None:
    """A row's next version fits into its page: thousands of budgets would be as many entries in two indexes."""
    many = """
        INSERT INTO budgets SELECT (jsonb_populate_record(budget, jsonb_build_object('budget_id', n::text))).*
        FROM budgets AS budget, generate_series(1, 1000) AS n
    """
    moved = "UPDATE budgets SET held_nanos = held_nanos + 1 RETURNING 1"
    in_place = "SELECT pg_stat_get_xact_tuples_hot_updated('budgets'::regclass)"
    async with start(database_url=postgres_url) as (billing, _server):
        await billing.create_budget(10**9)
    async with open_transactions(settings.model_copy(update={"database_url": postgres_url})) as transactions:
        await transactions.write(partial(_execute, statement=many))

        def move(connection: Connection) -> tuple[int, int]:
            rows = connection.execute(text(moved)).all()
            return len(rows), connection.execute(text(in_place)).scalar_one()

        assert await transactions.write(move) == (1001, 1001)


async def test_the_store_refuses_an_entry_that_does_not_balance(settings: BillingSettings) -> None:
    unbalanced = (
        "INSERT INTO entries (organization, operation_id, kind, available_nanos, held_nanos, revenue_nanos, post_us)"
        " VALUES ('acme', 'op', 1, -1, 2, 0, 0)"
    )
    async with open_transactions(settings) as transactions:
        with pytest.raises(exc.IntegrityError, match="entries_balance"):
            await transactions.write(partial(_execute, statement=unbalanced))


async def test_no_statement_of_a_hold_s_life_reads_a_whole_table(settings: BillingSettings) -> None:
    """Asked of SQLite's planner, of every statement of the hot path and of those that look for overdue holds."""
    statements = {part.sqlite for part in vars(store).values() if isinstance(part, Find | Save)}
    assert len(statements) >= 9
    async with open_transactions(settings) as transactions:

        @event.listens_for(transactions._engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            statements.add(statement)

        await transactions.write(partial(store.read_overdue, now_us=1, grace_us=0, items_max=10))
        await transactions.write(partial(claim_lapsed, claim=Claim(1, 1, 10)))
    file = sqlite3.connect(settings.service_dir / "billing.db")
    for statement in statements - {"BEGIN IMMEDIATE"}:
        parameters = ["[]"] * statement.count("?")
        plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        assert not [step for step in plan if step.startswith("SCAN") and "json_each" not in step], (
            statement,
            plan,
        )
    file.close()


async def test_the_audit_finds_what_was_tampered_with(
    start: Any, settings: BillingSettings, differences: Any
) -> None:
    async with start() as (billing, _server):
        await billing.create_budget(10**6)
        await billing.authorize(max_tokens=3)
    file = sqlite3.connect(settings.service_dir / "billing.db", isolation_level=None)
    file.execute("UPDATE budgets SET held_nanos = held_nanos + 1")
    file.execute("UPDATE holds SET amount_nanos = amount_nanos - 1")
    file.close()
    found = {(difference.what, difference.of) for difference in await differences()}
    assert found == {("held", "acme"), ("held", "organizations/acme/budgets/b")}


def _differences(connection: Connection) -> list[Any]:
    # The version is Alembic's own, parts are as their tables, and partial indexes are compared by their names only.
    others = ("alembic_version", "entries_default", "usage_lines_default")
    ours = {"include_name": lambda name, _kind, _parent: name not in others}
    return list(compare_metadata(MigrationContext.configure(connection, opts=ours), metadata))


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
