"""Run the steps of a transaction where its rows are: in SQLite's thread, or over a connection to PostgreSQL."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

from servicekit.database import (
    COMMAND_SECONDS_MAX,
    CONNECT_SECONDS_MAX,
    PASSING_SQLSTATES,
    SQLITE_BUSY_SECONDS,
)
from servicekit.errors import Unavailable
from servicekit.logging import get_logger
from sqlalchemy import URL

from penstock_billing.statements import Row, Save
from penstock_billing.steps import Fetch, Lock, Step, Steps, Write

Result = TypeVar("Result")

log = get_logger(__name__)


class Writer(Protocol):
    """Runs transactions of the hot path, one after the other."""

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps in a transaction: committed when they end, rolled back when they raise.

        Raises:
            Unavailable: the store does not answer, or its lock was not got in time (STORAGE_UNAVAILABLE).
        """

    async def close(self) -> None:
        """Give the connection back."""


class SqliteWriter:
    """Runs a transaction whole in the store's thread: one hop, whatever its number of steps."""

    def __init__(self, path: str, thread: Executor) -> None:
        self._path = path
        self._thread = thread
        self._opened: sqlite3.Connection | None = None

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps; see Writer."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, begin)
        except (sqlite3.OperationalError, OSError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._opened.close)

    def _transact(self, begin: Callable[[], Steps[Result]]) -> Result:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = drive(begin(), lambda step: run_on_sqlite(connection, step))
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        return result

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            connection = sqlite3.connect(
                self._path, timeout=SQLITE_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous=FULL")
            self._opened = connection
        return self._opened


def drive(steps: Steps[Result], run: Callable[[Step], Sequence[Row]]) -> Result:
    """Run steps to their end."""
    found: Sequence[Row] = ()
    try:
        step = next(steps)
        while True:
            found = run(step)
            step = steps.send(found)
    except StopIteration as end:
        result: Result = end.value
        return result


def run_on_sqlite(connection: sqlite3.Connection, step: Step) -> Sequence[Row]:
    """Run a step and give the rows that it found."""
    match step:
        case Fetch(find, keys):
            return connection.execute(find.sqlite, (json.dumps(keys),)).fetchall()
        case Write(saves):
            for save, rows in saves:
                connection.executemany(save.sqlite, rows)
        case Lock():
            pass  # SQLite has one writer
    return ()


class PostgresqlWriter:
    """Runs transactions over one connection of its own, which it opens anew when it broke."""

    def __init__(self, url: URL, schema: str) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._schema = schema
        self._opened: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps; see Writer."""
        async with self._one_at_a_time:
            try:
                return await self._transact(begin())
            except BaseException as error:
                self._drop()
                if _is_passing(error):
                    raise unavailable(error) from error
                raise

    async def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def _transact(self, steps: Steps[Result]) -> Result:
        step = next(steps)
        assert isinstance(step, Lock), "a transaction begins with its locks"
        connection = await self._begin(step)
        found: Sequence[Row] = ()
        try:
            while True:
                step = steps.send(found)
                found = await _run_on_postgresql(connection, step)
        except StopIteration as end:
            result: Result = end.value
        await connection.execute("COMMIT")
        return result

    async def _begin(self, lock: Lock) -> Any:
        """Begin and lock in one round trip; on a connection that broke while nobody looked, once more on a new one."""
        keys = ",".join(map(str, sorted({lock_key(name) for name in lock.names})))
        script = f"BEGIN; SELECT pg_advisory_xact_lock(key) FROM unnest('{{{keys}}}'::bigint[]) AS key"  # noqa: S608 - integers
        if self._opened is not None:
            try:
                await self._opened.execute(script)
            except Exception as error:
                if not _is_passing(error) or isinstance(error, TimeoutError):
                    raise
                self._drop()
            else:
                return self._opened
        self._opened = await self._connect()
        await self._opened.execute(script)
        return self._opened

    async def _connect(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, for who keeps the ledger there

        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=COMMAND_SECONDS_MAX,
            server_settings={"search_path": self._schema, "application_name": "penstock-billing-writer"},
        )

    def _drop(self) -> None:
        if self._opened is not None:
            self._opened.terminate()
            self._opened = None


async def _run_on_postgresql(connection: Any, step: Step) -> Sequence[Row]:
    match step:
        case Fetch(find, keys):
            rows: Sequence[Row] = await connection.fetch(find.postgresql, keys)
            return rows
        case Write(saves) if saves:
            await connection.execute(_script(tuple(save for save, _ in saves)), *_lists(saves))
    return ()


def _script(saves: tuple[Save, ...]) -> str:
    """Write several statements as one, each with lists of its own: one round trip, whatever their number."""
    parts, first = [], 1
    for save in saves:
        parts.append(save.postgresql.replace("{rows}", save.lists(first)))
        first += len(save.columns)
    *before, last = parts
    if not before:
        return last
    named = ", ".join(f"save_{place} AS ({part})" for place, part in enumerate(before))
    return f"WITH {named} {last}"


def _lists(saves: Sequence[tuple[Save, Sequence[Row]]]) -> list[list[Any]]:
    return [list(column) for _, rows in saves for column in zip(*rows, strict=True)]


def lock_key(name: str) -> int:
    """Give the number that a name is locked by."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def unavailable(error: BaseException) -> Unavailable:
    """Say that the store does not answer, and log why."""
    log.warning("store_unavailable", error=str(error) or type(error).__name__)
    message = "The store does not answer; retry."
    return Unavailable("STORAGE_UNAVAILABLE", message, metadata={"store": "database"})


def _is_passing(error: BaseException) -> bool:
    """Tell what may be gone on a retry: a lost connection, a time-out, PostgreSQL's classes of such states."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in PASSING_SQLSTATES
    return isinstance(error, OSError | TimeoutError) or type(error).__name__ == "InterfaceError"
