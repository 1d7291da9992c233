"""What does a decision pay for being in a tamper-evident log, and how many a second does the log take?

The log is the guardrail's own, on SQLite and PostgreSQL; the peer is a plain hash chain of the same records on the same
SQLite: unsealed, and to be verified only from its first record on. Both commit 512 records at a time, on disk.
"""

import argparse
import asyncio
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from harness.report import Report, rounded
from penstock_cli.audit.log import Entry as Shown
from penstock_cli.audit.log import open_checkpoint, verify_entries
from penstock_cli.audit.note import Verifier
from penstock_guardrail import policy
from penstock_guardrail.access import Asker
from penstock_guardrail.audit.entry import INPUT, Entry, make_record, read_record
from penstock_guardrail.audit.journal import open_journal
from penstock_guardrail.audit.log import TRANSACTION_ENTRIES_MAX, AuditLog
from penstock_guardrail.counters import Counters
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies.book import Regime
from penstock_guardrail.policy import Action, Classification
from penstock_guardrail.root_key import RootKeys
from penstock_guardrail.rules import make_rules
from penstock_guardrail.settings import GuardrailSettings
from penstock_guardrail.store import MIGRATIONS, VaultStore
from penstock_guardrail.trail import Decision, Request, Trail
from penstock_guardrail.vault import Principal
from servicekit.database import open_database
from servicekit.metrics import Metrics
from testkit.postgres import PostgresServer

ORGANIZATION, USERS = "acme", 100
KEY = bytes(range(32))
LISTS = (1, 64)
ROUNDS = 15
# How many append at once, and how often all of them together.
CALLERS, GROUPS = (1, 16), 400
PROOFS = 50


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def records(count: int) -> list[Entry]:
    """Make decisions as the guardrail writes them down."""
    return [
        read_record(
            make_record(
                "decision",
                entry_id=f"{number:030x}",
                time_us=number + 1,
                retention_days=365,
                organization=ORGANIZATION,
                user=f"user-{number % USERS}",
                request_id=f"0192f0e2-{number:012x}",
                roles=["business_user"],
                direction="input",
                action="REDACT",
                findings={"EMAIL_ADDRESS REDACT": 1},
            )
        )
        for number in range(count)
    ]


async def added_us(directory: Path, decisions: int) -> float:
    """Measure the CPU that a decision of a list pays before its answer."""

    async def nowhere(_entries: object) -> None:
        pass

    settings = GuardrailSettings()
    rules = make_rules(policy.parse(settings.policy.read_text()), settings.item_characters_max)
    request = Request(Principal(ORGANIZATION, "ann"), Asker(("business_user",)), "key", "0192f0e2")
    decided = [(Decision(request, INPUT, Action.ALLOW, Classification.INTERNAL), Regime(rules))] * decisions
    metrics = Metrics()
    async with open_journal(directory, nowhere, metrics, sync_seconds=5) as journal:
        trail = Trail(journal, Counters(metrics), now)
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(640 // decisions):
                await trail.keep(decided)
            times.append((time.process_time() - began) / 640)
    return min(times) * 1e6


@asynccontextmanager
async def opened(directory: Path, url: str = "") -> AsyncIterator[AuditLog]:
    """Open an empty log."""
    settings = GuardrailSettings(data_dir=directory, database_url=url)
    async with open_database(settings, MIGRATIONS) as database:
        store = VaultStore(database)
        yield AuditLog(store, Keyring(store, RootKeys(KEY), now))


async def appended_in_groups(log: AuditLog, entries: list[Entry], callers: int) -> tuple[float, float]:
    """Measure transactions of one entry each, of callers that wait for their own: how many a second, CPU of each."""

    async def call(own: list[Entry]) -> None:
        for entry in own:
            await log.append([entry])

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(entries[caller::callers]) for caller in range(callers)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return len(entries) / wall, 1e6 * cpu / len(entries)


async def appended(log: AuditLog, entries: list[Entry]) -> tuple[float, float]:
    """Measure entries a second, and CPU of this process for each."""
    wall, cpu = time.perf_counter(), time.process_time()
    await log.append(entries)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return len(entries) / wall, 1e6 * cpu / len(entries)


async def proved(log: AuditLog, size: int) -> float:
    """Measure an inclusion proof, in milliseconds."""
    times = []
    for number in range(PROOFS):
        began = time.perf_counter()
        await log.inclusion_proof(ORGANIZATION, number * size // PROOFS, size)
        times.append(time.perf_counter() - began)
    return median(times) * 1e3


async def verified(log: AuditLog) -> float:
    """Measure entries verified a second, by the verifier that shares no code with the log."""
    size, checkpoint = await log.checkpoint(ORGANIZATION)
    shown = [
        entry for start in range(0, size, 1000) for entry in await log.entries(ORGANIZATION, start, 1000)
    ]
    began = time.perf_counter()
    key = Verifier.parse(await log.verifier_key(ORGANIZATION))
    entries = (Shown(entry.index, entry.leaf_hash, entry.record, entry.salt) for entry in shown)
    found = verify_entries(open_checkpoint(checkpoint, [key]), entries)
    assert found.readable == size
    return size / (time.perf_counter() - began)


def chained(directory: Path, entries: list[Entry]) -> float:
    """Measure the peer: records a second in a plain hash chain."""
    connection = sqlite3.connect(directory / "chain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE chain (position INTEGER PRIMARY KEY, record BLOB, hash BLOB)")
    began, digest = time.perf_counter(), bytes(32)
    for start in range(0, len(entries), TRANSACTION_ENTRIES_MAX):
        rows = []
        for entry in entries[start : start + TRANSACTION_ENTRIES_MAX]:
            digest = hashlib.sha256(digest + entry.record).digest()
            rows.append((entry.record, digest))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO chain (record, hash) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return len(entries) / seconds


async def measure(directory: Path, count: int) -> dict[str, Any]:
    """Measure everything once."""
    entries = records(count)
    figures: dict[str, Any] = {
        f"added_us_{size}": await added_us(directory / f"journal-{size}", size) for size in LISTS
    }
    async with opened(directory) as log:
        figures["sqlite_per_s"], figures["sqlite_cpu_us"] = await appended(log, entries)
        for callers in CALLERS:
            alone = [replace(entry, id=f"{callers}-{entry.id}") for entry in entries[:GROUPS]]
            rate, cpu_us = await appended_in_groups(log, alone, callers)
            figures |= {f"groups_{callers}_per_s": rate, f"groups_{callers}_cpu_us": cpu_us}
        figures["proof_ms"] = await proved(log, count)
        figures["verified_per_s"] = await verified(log)
    (directory / "postgres").mkdir()
    with PostgresServer(directory / "postgres") as server:
        async with opened(directory, server.create_database()) as log:
            figures["postgres_per_s"], _ = await appended(log, entries)
    figures["chain_per_s"] = chained(directory, entries)
    return {name: rounded(value) for name, value in figures.items()}


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer entries")
    parser.add_argument(
        "--directory", type=Path, help="on the disk that you ask about; default: a temporary one"
    )
    asked = parser.parse_args()
    count = 10_000 if asked.quick else 200_000
    report = Report("guardrail_audit", quick=asked.quick)
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        figures = asyncio.run(measure(Path(directory), count))
    print(f"{'figure':<16} {'value':>12}   of a log of {count:,} entries")
    for name, value in figures.items():
        print(f"{name:<16} {value:>12,}")
    report.finish(figures, {"entries": count})


if __name__ == "__main__":
    main()
