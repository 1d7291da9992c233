"""On PostgreSQL each day of posting is a part: nothing is lost or posted twice over days, and reads look at few."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from penstock.billing.v1 import (
    usage_correction_service_pb2,
    usage_pb2,
    usage_service_pb2,
)
from penstock_billing.archive import ArchiveError, archive
from penstock_billing.charge_store import sum_charges
from penstock_billing.clock import DAY_US, HOUR_US, to_us
from penstock_billing.correction_store import _settled
from penstock_billing.fold import fold
from penstock_billing.partitions import KEYS, list_parts, make_days
from penstock_billing.report_tables import price_activations
from penstock_billing.rollup_store import UsageQuestion, sum_usage
from penstock_billing.settings import BillingSettings
from penstock_billing.tables import budgets, entries, holds, price_books, usage_lines
from penstock_billing.transactions import MIGRATIONS, open_transactions
from servicekit.database import open_database
from sqlalchemy import Connection, event, exc, func, insert, select, text
from testkit.clock import Clock

BEGINNING_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, where the test clock begins
COPIED = (holds, entries, usage_lines, budgets, price_books, price_activations)


@pytest.fixture
def store(settings: BillingSettings, postgres_url: str) -> BillingSettings:
    return settings.model_copy(update={"database_url": postgres_url})


@pytest.fixture(params=["sqlite", "postgresql"])
def before(
    request: pytest.FixtureRequest, settings: BillingSettings, postgres_server: Any, tmp_path: Path
) -> BillingSettings:
    """Where a store of the version before lies."""
    url = postgres_server.create_database() if request.param == "postgresql" else ""
    return settings.model_copy(update={"database_url": url, "data_dir": tmp_path / "before"})


async def test_a_filled_store_of_before_keeps_every_row_and_goes_on(
    start: Any, tools: Any, settings: BillingSettings, before: BillingSettings, differences: Any, clock: Clock
) -> None:
    async with start() as (billing, _server):
        await billing.create_budget(10**12)
        await _post(billing, tools, clock, days=2)
        await billing.authorize("open", max_tokens=3)
    async with open_transactions(settings) as filled:
        rows = await filled.read(_rows)
    await _write_as_before(before, rows, settings.service_dir / "migrations")

    where = {"database_url": before.database_url, "data_dir": before.data_dir}
    async with start(**where) as (billing, _server):
        assert (await billing.settle("0-0", input=1, end_seconds=BEGINNING_US // 10**6)).status.code == 0
        await billing.settle("open", output=3)
        answer = await billing.usage.QueryUsage(_question(0, 3))
        assert answer.rows[0].operations == 7
    async with open_transactions(before) as transactions:
        assert await transactions.write(partial(fold, tag_keys=(), lines_max=100)) == 7
        after = await transactions.read(_rows)
        assert [row for row in after["usage_lines"] if row["operation_id"] != "open"] == rows["usage_lines"]
        assert after["entries"][: len(rows["entries"])] == rows["entries"]
        if before.database_url:
            days = ("20260104", "20260105", "20260106", "before")
            assert await transactions.read(_part_names) == {
                table: [f"{table}_{day}" for day in days] for table in KEYS
            }
    assert await differences(**where) == []


async def test_what_was_posted_is_never_changed_whatever_part_it_lies_in(
    start: Any, tools: Any, store: BillingSettings, clock: Clock
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await _post(billing, tools, clock, days=2)
        clock.advance(days=30)
        await _post(billing, tools, clock, days=1)
    async with open_transactions(store) as transactions:
        for table in KEYS:
            for part in ("20260101", "20260102", "default"):
                for change in ("UPDATE {} SET organization = 'other'", "DELETE FROM {}"):
                    statement = change.format(f"{table}_{part}")
                    with pytest.raises(exc.DBAPIError, match="immutable"):
                        await transactions.write(partial(_execute, statement=statement))


async def test_an_operation_settles_once_whatever_the_day(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        first = await billing.settle("op", input=5)
        clock.advance(days=1)
        assert await billing.settle("op", input=5) == first
        assert tools.reason((await billing.settle("op", input=6)).status) == "REQUEST_ID_REUSED"
        assert len(await billing.records("op")) == 1
    assert await differences(database_url=store.database_url) == []


async def test_replicas_that_make_days_at_once_make_each_once(store: BillingSettings, clock: Clock) -> None:
    make = partial(make_days, now_us=to_us(clock()), days=5)
    async with open_transactions(store) as one, open_transactions(store) as two:
        made = await asyncio.gather(*(each.write(make) for each in (one, two, one, two)))
        assert sum(made) == 5 * len(KEYS)
        assert await one.write(make) == 0


async def test_a_day_that_nobody_made_is_posted_to_and_read_all_the_same(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        clock.advance(days=10)
        await _post(billing, tools, clock, days=1)
        assert (await billing.usage.QueryUsage(_question(10, 11))).rows[0].operations == 3
    async with open_transactions(store) as transactions:
        late = partial(make_days, now_us=BEGINNING_US + 10 * DAY_US, days=2)
        assert await transactions.write(late) == len(KEYS)  # the second day; the first stays where it is
    assert await differences(database_url=store.database_url) == []


async def test_what_is_asked_about_a_day_is_read_from_its_part_alone(
    start: Any, tools: Any, store: BillingSettings, clock: Clock
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await _post(billing, tools, clock, days=3)
    last = BEGINNING_US + 3 * DAY_US
    hours = UsageQuestion("acme", last + 1, last + HOUR_US - 1, ())
    reads: dict[str, tuple[Callable[[Connection], Any], set[str]]] = {
        "invoice": (
            lambda connection: sum_charges(connection, "acme", (last - DAY_US, last)),
            {"20260103"},
        ),
        "minutes": (
            lambda connection: sum_usage(connection, hours, 0, 10),
            {"20260103", "20260104", "default"},
        ),
        "whole hours": (
            lambda connection: sum_usage(connection, UsageQuestion("acme", last, last + HOUR_US, ()), 0, 10),
            {"20260103", "20260104", "default"},
        ),
        "correction": (
            lambda connection: _settled(connection, "acme", "2-0"),
            {"20260102", "20260103", "20260104", "default"},
        ),
    }
    async with open_transactions(store) as transactions:
        found = {
            what: await transactions.read(partial(_parts_read, read=read))
            for what, (read, _) in reads.items()
        }
        folded = await transactions.write(partial(_parts_read, read=partial(fold, tag_keys=(), lines_max=3)))
        await transactions.write(partial(fold, tag_keys=(), lines_max=100))
        whole_hours, _ = reads["whole hours"]
        assert await transactions.read(partial(_parts_read, read=whole_hours)) == set()
    assert found == {what: parts for what, (_, parts) in reads.items()}
    assert folded == {"20260101"}


async def test_an_archived_day_leaves_books_that_balance(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any, refused: Any
) -> None:
    where = {"database_url": store.database_url}
    take = partial(archive, day_us=BEGINNING_US, now_us=BEGINNING_US + 2 * DAY_US)
    async with start(**where) as (billing, _server), open_transactions(store) as transactions:
        await billing.create_budget(10**12)
        await _post(billing, tools, clock, days=2)
        with pytest.raises(ArchiveError, match="wait for the fold"):
            await transactions.write(take)
        await transactions.write(partial(fold, tag_keys=(), lines_max=100))
        with pytest.raises(ArchiveError, match="2026-01-03"):
            await transactions.write(
                partial(archive, day_us=BEGINNING_US, now_us=BEGINNING_US + 2 * DAY_US - 1)
            )
        sums = await billing.usage.QueryUsage(_question(0, 2))

        assert await _archive(store, "2026-01-01") == "entries_20260101\nusage_lines_20260101\n"
        assert await transactions.read(partial(_count, table="usage_lines_20260101")) == 3
        assert await differences(**where) == []
        assert await billing.usage.QueryUsage(_question(0, 2)) == sums
        within_an_hour = _question(0, 2)
        within_an_hour.start_time.seconds += 1
        assert await refused(billing.usage.QueryUsage(within_an_hour)) == "INVALID_ARGUMENT"
        correction = usage_correction_service_pb2.CreateUsageCorrectionRequest(
            parent="organizations/acme", operation_id="0-0", reason="wrong", request_id="r"
        )
        assert await refused(billing.corrections.CreateUsageCorrection(correction)) == "INVALID_ARGUMENT"
        assert (await billing.settle("0-0", input=1)).status.code == 0
        with pytest.raises(ArchiveError, match="no part"):
            await transactions.write(take)
    assert await differences(**where) == []


async def _archive(store: BillingSettings, day: str) -> str:
    """Archive a day as operators do, and give what they are told."""
    where = {"PENSTOCK_DATABASE_URL": store.database_url, "PENSTOCK_DATA_DIR": str(store.data_dir)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_billing.archive", day),
        env=os.environ | where,
        stdout=subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode()


async def _post(billing: Any, tools: Any, clock: Clock, days: int) -> None:
    """Settle three operations on each day."""
    for _ in range(days):
        day = (to_us(clock()) - BEGINNING_US) // DAY_US
        items = [
            tools.settle_item(f"{day}-{n}", input=n + 1, end_seconds=int(clock.seconds)) for n in range(3)
        ]
        await billing.settle_all(items)
        clock.advance(days=1)


def _question(first_day: int, end_day: int) -> usage_service_pb2.QueryUsageRequest:
    request = usage_service_pb2.QueryUsageRequest(
        parent="organizations/acme", group_by=[usage_pb2.USAGE_DIMENSION_MODEL]
    )
    request.start_time.seconds = (BEGINNING_US + first_day * DAY_US) // 10**6
    request.end_time.seconds = (BEGINNING_US + end_day * DAY_US) // 10**6
    return request


def _rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: [
            dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
        ]
        for table in COPIED
    }


async def _write_as_before(
    before: BillingSettings, rows: dict[str, list[dict[str, Any]]], migrations: Path
) -> None:
    shutil.copytree(
        MIGRATIONS / "versions",
        migrations / "versions",
        ignore=lambda _, names: [name for name in names if name >= "0006"],
    )
    async with open_database(before, migrations) as database, database.transaction() as connection:
        for table in COPIED:
            await connection.execute(insert(table), rows[table.name])
        if before.database_url:
            last = select(func.setval("entries_entry_id_seq", func.max(entries.c.entry_id)))
            await connection.execute(last)


def _part_names(connection: Connection) -> dict[str, list[str]]:
    return {table: sorted(part.name for part in list_parts(connection, table)) for table in KEYS}


def _parts_read(connection: Connection, read: Callable[[Connection], Any]) -> set[str]:
    """Give the parts that the plans of what is read name."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        read(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    plans = [
        line
        for statement, parameters in asked
        if statement.startswith("SELECT") and "usage_lines" in statement
        for (line,) in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    ]
    return {part for line in plans for part in re.findall(r" on usage_lines_(\w+)", line)}


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
