"""How many operations a second can be authorized and settled, with every answer on disk?

Billing runs as it is deployed, behind gRPC, on SQLite and on PostgreSQL; the peer is a plain ledger on the same
PostgreSQL that locks the account's row (`harness/rowlock.py`), called without any RPC. Both commit synchronously. One
hot account, and 10,000 accounts.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from harness import billing_load, rowlock
from harness.billing_load import Latency
from harness.billing_report import console, plot, table
from harness.processes import Server, cpu_seconds, start
from harness.report import Report, rounded
from testkit.postgres import PostgresServer
from testkit.process import free_port

ACCOUNTS = 10_000
READY_SECONDS_MAX = 30
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long to measure each contestant, and the latency."""

    rounds: int
    seconds: float
    latency_seconds: float


FULL = Plan(rounds=5, seconds=6, latency_seconds=20)
QUICK = Plan(rounds=1, seconds=4, latency_seconds=4)


@dataclass(frozen=True, slots=True)
class Cell:
    """Cycles a second of a contestant in one round, and the CPU that billing's process spent on each."""

    contestant: str
    round: int
    cycles_per_second: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Billing:
    """A billing service in a process of its own."""

    address: str
    server: Server

    def measure(self, name: str, organizations: list[str], turn: int, seconds: float) -> Cell:
        """Load it for a while."""
        begin = cpu_seconds(self.server.pids())
        rate = asyncio.run(billing_load.cycles_per_second(self.address, organizations, seconds))
        cpu = cpu_seconds(self.server.pids()) - begin
        return Cell(name, turn, rate, 1e6 * cpu / (rate * seconds))


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("billing_cycles", quick=arguments.quick)
    plan = QUICK if arguments.quick else FULL
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory)))
        cells, latency = _measure(directory, plan, running)
    console.print(table(cells, latency))
    plot(cells, report.path(".png"))
    details = {"cells": [asdict(cell) for cell in cells], "latency": asdict(latency), "accounts": ACCOUNTS}
    report.finish(_figures(cells, latency), details)


def _measure(directory: Path, plan: Plan, running: ExitStack) -> tuple[list[Cell], Latency]:
    (directory / "postgres").mkdir()
    postgres = running.enter_context(PostgresServer(directory / "postgres", durable=True))
    url = postgres.create_database()
    organizations = [f"o{number}" for number in range(ACCOUNTS)]
    on_sqlite = running.enter_context(_billing(directory / "sqlite", ""))
    on_postgresql = running.enter_context(_billing(directory / "postgresql", url))
    asyncio.run(_prepare(url, organizations, on_sqlite, on_postgresql))
    cells = []
    for turn in range(plan.rounds):
        for name, accounts in (("row locks, hot", 1), ("row locks, spread", ACCOUNTS)):
            rate = asyncio.run(rowlock.cycles_per_second(url, accounts, plan.seconds))
            cells.append(Cell(name, turn, rate, 0))
        for name, billing, payers in (
            ("penstock, hot", on_postgresql, ["hot"]),
            ("penstock, spread", on_postgresql, organizations),
            ("penstock, SQLite", on_sqlite, ["hot"]),
        ):
            cells.append(billing.measure(name, payers, turn, plan.seconds))
    rate = HALF * _median(cells, "penstock, SQLite")
    half_load = billing_load.latency(on_sqlite.address, ["hot"], rate, plan.latency_seconds)
    return cells, asyncio.run(half_load)


async def _prepare(url: str, organizations: list[str], *services: Billing) -> None:
    for billing in services:
        await billing_load.make_budget(billing.address, "hot")
    await rowlock.prepare(url, ACCOUNTS)
    connection = await asyncpg.connect(url)
    # 10,000 calls would take longer than the measurement: a row is copied under other names.
    await connection.execute(
        """INSERT INTO billing.budgets SELECT (jsonb_populate_record(b, jsonb_build_object(
               'organization', o, 'subject', o))).* FROM billing.budgets AS b, unnest($1::text[]) AS o""",
        organizations,
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@contextmanager
def _billing(directory: Path, url: str) -> Iterator[Billing]:
    port = free_port()
    directory.mkdir()
    environment = {
        **os.environ,
        "PENSTOCK_BILLING_GRPC_PORT": str(port),
        "PENSTOCK_BILLING_HTTP_PORT": "0",
        "PENSTOCK_DATA_DIR": str(directory),
        "PENSTOCK_DATABASE_URL": url,
    }
    server = start([sys.executable, "-m", "penstock_billing"], directory / "billing.log", environment)
    try:
        yield Billing(f"127.0.0.1:{port}", server)
    finally:
        server.stop()


def _figures(cells: list[Cell], latency: Latency) -> dict[str, Any]:
    rates = {cell.contestant: _median(cells, cell.contestant) for cell in cells}
    cpu = sorted(cell.cpu_us for cell in cells if cell.contestant == "penstock, SQLite")
    return {
        "rowlock_ratio_hot": rounded(rates["penstock, hot"] / rates["row locks, hot"]),
        "rowlock_ratio_spread": rounded(rates["penstock, spread"] / rates["row locks, spread"]),
        "sqlite_cycles_s": rounded(rates["penstock, SQLite"]),
        "p99_ms_half_load": rounded(latency.p99_ms),
        "cpu_us_cycle": rounded(cpu[len(cpu) // 2]),
        "postgresql_hot_cycles_s": rounded(rates["penstock, hot"]),
        "postgresql_spread_cycles_s": rounded(rates["penstock, spread"]),
        "rowlock_hot_cycles_s": rounded(rates["row locks, hot"]),
        "rowlock_spread_cycles_s": rounded(rates["row locks, spread"]),
    }


def _median(cells: list[Cell], contestant: str) -> float:
    rates = sorted(cell.cycles_per_second for cell in cells if cell.contestant == contestant)
    return rates[len(rates) // 2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under 50 seconds")
    parser.add_argument(
        "--directory", type=Path, help="where the stores are kept while it runs; a disk, not memory"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
