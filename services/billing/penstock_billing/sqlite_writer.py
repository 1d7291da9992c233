"""The hot path on SQLite."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from servicekit.sqlite import BUSY_SECONDS

from penstock_billing.statements import Row
from penstock_billing.steps import Fetch, Lock, Step, Steps, Write
from penstock_billing.writer_thread import WriterThread
from penstock_billing.writers import drive, unavailable

Result = TypeVar("Result")


class SqliteWriter:
    """Runs a transaction whole in the store's thread: one hop, whatever its number of steps."""

    def __init__(self, path: str, thread: WriterThread) -> None:
        self._path = path
        self._thread = thread
        self._opened: sqlite3.Connection | None = None

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps; see Writer."""
        try:
            return await self._thread.run(partial(self._transact, begin))
        except (sqlite3.OperationalError, OSError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            await self._thread.run(self._opened.close)

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
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            prepare(connection)
            self._opened = connection
        return self._opened


def prepare(connection: sqlite3.Connection) -> None:
    """Let a connection write: durably, into the log that `checkpoint` copies into the file."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}").close()


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
