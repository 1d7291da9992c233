"""SQLite behind SQLAlchemy: a write-ahead log, full synchronisation, one writer, and threads for whole functions."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_SECONDS = 5
RETRY_SECONDS = 0.01
WRITING = {"penstock_writer": True}  # execution options of a connection whose transactions write

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


def sqlite_engine(url: URL, connections_max: int, connect_seconds_max: float) -> AsyncEngine:
    """Make the engine of a file, and the directory that it is in."""
    assert url.database, "an in-memory store would be another one for each connection"
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=connect_seconds_max,
        connect_args={"timeout": BUSY_SECONDS},
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


class SqliteThreads:
    """Threads that run functions of a connection whole, each on a connection that it has to itself meanwhile."""

    def __init__(self, url: URL, connections_max: int) -> None:
        self._threads = ThreadPoolExecutor(connections_max, "sqlite")  # none starts before the first function
        self._engine = create_engine(
            url.set(drivername="sqlite"),
            pool_size=connections_max,
            max_overflow=0,
            pool_use_lifo=True,  # the last one has its pages in memory
            connect_args={"timeout": BUSY_SECONDS},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    async def run(self, work: Work[Result]) -> Result:
        """Run a function of a connection; who gives up waiting does not stop it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._connected, work)

    def close(self) -> None:
        """Close the connections, after what runs."""
        self._threads.shutdown()
        self._engine.dispose()

    def _connected(self, work: Work[Result]) -> Result:
        with self._engine.connect() as connection:
            return work(connection)


def transact(work: Work[Result], connection: Connection) -> Result:
    """Run a function in a transaction that writes."""
    with connection.execution_options(**WRITING).begin():
        return work(connection)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself while another process is switching too."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)  # in the driver's thread
        else:
            return


def _begin(connection: Connection) -> None:
    # A statement that reads needs no transaction: that is a thread hop less, and the snapshot PostgreSQL gives too.
    if WRITING.items() <= connection.get_execution_options().items():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
