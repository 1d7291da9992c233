"""The peer of `billing_cycles.py`: a plain ledger on PostgreSQL that locks the account's row for each operation.

What most billing code does: one transaction to reserve, one to settle, the balance checked by the UPDATE that takes
from it. As many connections as callers, prepared statements, synchronous commit.
"""

import asyncio
import itertools
import time
import uuid
from typing import Any

import asyncpg

CLIENTS = 40
HELD_NANOS = 6_000
COST_NANOS = 2_000

_SCHEMA = """
CREATE SCHEMA rowlock;
CREATE TABLE rowlock.accounts (
    id bigint PRIMARY KEY, balance bigint NOT NULL, held bigint NOT NULL DEFAULT 0, spent bigint NOT NULL DEFAULT 0);
CREATE TABLE rowlock.holds (id text PRIMARY KEY, account bigint NOT NULL, amount bigint NOT NULL, state int NOT NULL);
CREATE TABLE rowlock.entries (
    id bigserial PRIMARY KEY, hold text NOT NULL, account bigint NOT NULL, kind int NOT NULL, amount bigint NOT NULL);
"""
_RESERVE = (
    "UPDATE rowlock.accounts SET held = held + $2 WHERE id = $1 AND balance - spent - held >= $2 RETURNING id"
)
_HOLD = "INSERT INTO rowlock.holds VALUES ($1, $2, $3, 1)"
_FIND = "SELECT amount FROM rowlock.holds WHERE id = $1 AND state = 1 FOR UPDATE"
_CHARGE = "UPDATE rowlock.accounts SET held = held - $2, spent = spent + $3 WHERE id = $1"
_CLOSE = "UPDATE rowlock.holds SET state = 2 WHERE id = $1"
_ENTRY = "INSERT INTO rowlock.entries (hold, account, kind, amount) VALUES ($1, $2, $3, $4)"


async def prepare(url: str, accounts: int) -> None:
    """Make the tables, and accounts that can pay for anything."""
    connection = await asyncpg.connect(url)
    await connection.execute(_SCHEMA)
    rows = [(account, 10**18) for account in range(accounts)]
    await connection.copy_records_to_table(
        "accounts", schema_name="rowlock", records=rows, columns=["id", "balance"]
    )
    await connection.close()


async def cycles_per_second(url: str, accounts: int, seconds: float) -> float:
    """Reserve and settle in turn over so many accounts, with every client busy."""
    run = uuid.uuid4().hex[:8]  # rounds share the tables
    pool = await asyncpg.create_pool(url, min_size=CLIENTS, max_size=CLIENTS)
    begin = time.perf_counter()
    done = await asyncio.gather(
        *(_client(pool, f"{run}-{client}", accounts, begin + seconds) for client in range(CLIENTS))
    )
    elapsed = time.perf_counter() - begin
    await pool.close()
    return sum(done) / elapsed


async def _client(pool: Any, name: str, accounts: int, until: float) -> int:
    async with pool.acquire() as connection:
        for number in itertools.count():
            if time.perf_counter() > until:
                return number
            # 7919 is prime to the number of accounts: every client walks through all of them.
            await _cycle(connection, f"{name}-{number}", (hash(name) + number * 7919) % accounts)
    raise AssertionError("count never ends")


async def _cycle(connection: Any, hold: str, account: int) -> None:
    async with connection.transaction():
        if await connection.fetchrow(_RESERVE, account, HELD_NANOS) is None:
            raise RuntimeError("the balance is used up")
        await connection.execute(_HOLD, hold, account, HELD_NANOS)
        await connection.execute(_ENTRY, hold, account, 1, HELD_NANOS)
    async with connection.transaction():
        held = await connection.fetchval(_FIND, hold)
        await connection.execute(_CHARGE, account, held, COST_NANOS)
        await connection.execute(_CLOSE, hold)
        await connection.execute(_ENTRY, hold, account, 2, COST_NANOS)
