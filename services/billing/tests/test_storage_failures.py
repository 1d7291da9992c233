"""The store fails: every item says so, nothing is half done, health falls, and all is well again without a hand."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import open_transactions
from testkit.postgres import PostgresServer
from testkit.proxy import FaultProxy


async def test_a_store_locked_by_another_process_is_waited_for_and_then_unavailable(
    start: Any, tools: Any, settings: BillingSettings, differences: Any
) -> None:
    async with start() as (billing, server):
        await billing.create_budget(10_000)
        with _locked(settings.service_dir / "billing.db"):
            waiting = asyncio.create_task(billing.authorize())
            await tools.until(lambda: not server.health.serving)
            result = await waiting
            assert tools.reason(result.status) == "STORAGE_UNAVAILABLE"
        await tools.until(lambda: server.health.serving)
        assert not (await billing.authorize()).status.code
        assert (await billing.budget()).held_nanos == 2_000
    assert await differences() == []


async def test_a_store_that_another_process_wrote_to_takes_writes(
    billing: Any, settings: BillingSettings
) -> None:
    """A probe's cursor once kept its connection in the past, from where SQLite lets nobody write: until a restart."""
    await billing.authorize()
    async with open_transactions(settings) as transactions:
        for _ in range(3):
            await transactions.probe()
            with closing(sqlite3.connect(settings.service_dir / "billing.db")) as another:
                another.execute("PRAGMA user_version = 7")
        await transactions.probe()


async def test_failed_commit_is_retried(
    start: Any, tools: Any, settings: BillingSettings, differences: Any
) -> None:
    """A full disk refuses and loses nothing, health says so, and what is sent again is one charge."""
    async with start() as (billing, server):
        await billing.create_budget(10**9)
        with _log_never_begins_anew(settings.service_dir / "billing.db"):
            await billing.authorize("before", max_tokens=5)
            with _no_file_grows_beyond(settings.service_dir / "billing.db-wal"):
                refused = await billing.authorize_all(
                    [tools.authorize_item(f"op{number}") for number in range(50)]
                )
                assert {tools.reason(result.status) for result in refused} == {"STORAGE_UNAVAILABLE"}
                late = await billing.settle("before", output=5)
                assert tools.reason(late.status) == "STORAGE_UNAVAILABLE"
                await tools.until(lambda: not server.health.serving)
        await tools.until(lambda: server.health.serving)
        assert (await billing.settle("before", output=5)).cost_nanos == 10_000
        budget = await billing.budget()
        assert (budget.spent_nanos, budget.held_nanos) == (10_000, 0)
    assert await differences() == []


async def test_postgresql_that_breaks_off_under_load_and_comes_back(
    start: Any, tools: Any, postgres_url: str, differences: Any
) -> None:
    """Connections are reset while transactions run, commits may or may not come through; then none is let in."""
    address = urlsplit(postgres_url)
    assert address.port
    async with FaultProxy(address.port) as proxy:
        url = address._replace(netloc=f"{address.username}@{proxy.address}").geturl()
        async with start(database_url=url) as (billing, server):
            await billing.create_budget(10**9)
            settled: list[Any] = []
            loads = [asyncio.create_task(_live(billing, tools, caller, settled)) for caller in range(8)]
            for _ in range(5):
                await asyncio.sleep(0.1)
                proxy.reset()
            proxy.faults.refusing = True
            proxy.reset()
            await tools.until(lambda: not server.health.serving)
            assert tools.reason((await billing.authorize("down")).status) == "STORAGE_UNAVAILABLE"
            proxy.faults.refusing = False
            await tools.until(lambda: server.health.serving)
            assert not (await billing.authorize("up again")).status.code
            before = len(settled)
            await tools.until(lambda: len(settled) > before)
            for load in loads:
                load.cancel()
            ends = await asyncio.gather(*loads, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            assert (await billing.budget()).spent_nanos >= len(settled) * 2_000 > 0
    assert await differences(database_url=postgres_url) == []


async def test_postgresql_that_is_killed_under_load_and_started_again(
    start: Any, tools: Any, tmp_path: Path, differences: Any
) -> None:
    (tmp_path / "postgres").mkdir()
    with PostgresServer(tmp_path / "postgres") as postgres:
        url = postgres.create_database()
        async with start(database_url=url) as (billing, server):
            await billing.create_budget(10**9)
            settled: list[Any] = []
            loads = [asyncio.create_task(_live(billing, tools, caller, settled)) for caller in range(8)]
            await tools.until(lambda: len(settled) >= 20)
            postgres.process.kill()  # its children work on until they notice
            await tools.until(lambda: not server.health.serving)
            assert tools.reason((await billing.authorize("down")).status) == "STORAGE_UNAVAILABLE"
            await asyncio.to_thread(postgres.start)
            before = len(settled)
            await tools.until(lambda: server.health.serving and len(settled) > before)
            for load in loads:
                load.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
            assert (await billing.budget()).spent_nanos >= len(settled) * 2_000
        assert await differences(database_url=url) == []


async def test_postgresql_that_freezes_under_load_is_given_up_on_and_found_again(
    start: Any, tools: Any, postgres_url: str, differences: Any
) -> None:
    """Nothing passes and nothing breaks off, as when a machine is gone without a word."""
    address = urlsplit(postgres_url)
    assert address.port
    async with FaultProxy(address.port) as proxy:
        url = address._replace(netloc=f"{address.username}@{proxy.address}").geturl()
        async with start(database_url=url) as (billing, server):
            await billing.create_budget(10**9)
            settled: list[Any] = []
            loads = [asyncio.create_task(_live(billing, tools, caller, settled)) for caller in range(8)]
            await tools.until(lambda: len(settled) >= 20)
            proxy.freeze()
            await tools.until(lambda: not server.health.serving)
            assert tools.reason((await billing.authorize("frozen")).status) == "STORAGE_UNAVAILABLE"
            proxy.thaw()
            before = len(settled)
            await tools.until(lambda: server.health.serving and len(settled) > before)
            for load in loads:
                load.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
            assert (await billing.budget()).spent_nanos >= len(settled) * 2_000
    assert await differences(database_url=postgres_url) == []


async def test_a_defect_in_one_item_fails_only_that_item(billing: Any, tools: Any) -> None:
    """A settlement of billions of dollars does not fit into the store."""
    attempts = [
        tools.attempt("test/ruinous", number, output=2**32 - 1, input=2**32 - 1) for number in range(16)
    ]
    items = [
        tools.settle_item("1", output=1),
        tools.settle_item("poison", *attempts),
        tools.settle_item("2", output=1),
    ]
    others = [billing.authorize(f"op{number}") for number in range(20)]
    results, *held = await asyncio.gather(billing.settle_all(items), *others)
    assert [result.cost_nanos for result in results] == [2_000, 0, 2_000]
    assert tools.reason(results[1].status) == "INTERNAL"
    assert all(not result.status.code for result in held)


async def test_a_caller_that_hangs_up_while_waiting_leaves_nothing_behind(billing: Any) -> None:
    await billing.create_budget(10**9)
    calls = [asyncio.create_task(billing.authorize(f"op{number}")) for number in range(40)]
    await asyncio.sleep(0.001)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for number in range(40):
        await billing.release(f"op{number}")
    assert (await billing.budget()).held_nanos == 0


async def _live(billing: Any, tools: Any, caller: int, settled: list[Any]) -> None:
    """Authorize and settle for ever; what the store did not take is sent again, as the router's spool does."""

    async def insist(call: Any, operation: str, **terms: Any) -> Any:
        while (result := await call(operation, **terms)).status.code:
            assert tools.reason(result.status) == "STORAGE_UNAVAILABLE"
            await asyncio.sleep(0.05)
        return result

    for number in range(100_000):
        await insist(billing.authorize, f"{caller}-{number}")
        settled.append(await insist(billing.settle, f"{caller}-{number}", output=1))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@contextmanager
def _log_never_begins_anew(path: Path) -> Iterator[None]:
    """Empty SQLite's log and read from before it: every write needs room that is not there yet."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        assert reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM holds").fetchall()
        yield


@contextmanager
def _no_file_grows_beyond(path: Path) -> Iterator[None]:
    """Let writes fail as on a full disk: no file of this process gets longer than this one is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
