"""The ways into the store: steps for the hot path, a function of a SQLAlchemy connection for everything else.

Through aiosqlite every step of a statement is a hop to another thread and back, so what writes to SQLite runs whole in
the store's thread. On PostgreSQL it runs through asyncpg.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from servicekit.background import background
from servicekit.database import COMMAND_SECONDS_MAX, Database, open_database
from servicekit.errors import Unavailable
from servicekit.settings import ServiceSettings
from servicekit.sqlite import BUSY_SECONDS
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, text

from penstock_billing.checkpoint import checkpoint_often
from penstock_billing.postgresql_writer import PostgresqlWriter
from penstock_billing.sqlite_writer import SqliteWriter, prepare
from penstock_billing.steps import Steps
from penstock_billing.writer_thread import WriterThread
from penstock_billing.writers import Writer, unavailable

MIGRATIONS = Path(__file__).with_name("migrations")

# Writes that change nothing and still have to reach the disk.
_TRIES = {"sqlite": "PRAGMA user_version = 0", "postgresql": "SELECT txid_current()"}

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


class Transactions:
    """The ways into the store."""

    def __init__(self, database: Database, service: str) -> None:
        self._database = database
        self._engine = _sqlite_engine(database.engine.url) if database.is_sqlite else None
        self._thread = WriterThread()
        self._writer = _writer(database.engine.url, service, self._thread)
        self._failing = False

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run steps in a transaction: committed when they end, rolled back when they raise.

        Raises:
            Unavailable: the store does not answer, or its lock was not got in 5 s (STORAGE_UNAVAILABLE).
        """
        with self._noticed():
            return await self._writer.run(begin)

    async def write(self, work: Work[Result]) -> Result:
        """Run a function in a transaction: committed when it returns, rolled back when it raises.

        Raises:
            Unavailable: the store does not answer, or its lock was not got in 5 s (STORAGE_UNAVAILABLE).
        """
        with self._noticed():
            if self._engine is None:
                async with self._database.transaction() as connection:
                    return await connection.run_sync(work)
            with _storage_errors():
                return await self._thread.run(partial(_run, self._engine, work))

    async def read(self, work: Work[Result]) -> Result:
        """Run a function that only reads, beside a transaction that writes; each statement sees what is committed.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        async with self._database.connect() as connection:
            return await connection.run_sync(work)

    async def checkpoint(self) -> None:
        """Keep SQLite's log short, for ever. PostgreSQL does that by itself."""
        if self._engine is not None:
            await checkpoint_often(str(self._engine.url.database), self._thread)

    async def probe(self) -> None:
        """Check that the store takes writes: begin one, and once one has failed make one that reaches the disk."""
        dialect = self._database.engine.dialect.name
        statement = text(_TRIES[dialect] if self._failing else "SELECT 1 FROM holds LIMIT 1")
        await self.write(lambda connection: connection.execute(statement).close())

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self._failing = True
            raise
        self._failing = False

    async def close(self) -> None:
        """Finish what was begun."""
        await self._writer.close()
        await self._thread.close()
        if self._engine is not None:
            self._engine.dispose()


@asynccontextmanager
async def open_transactions(
    settings: ServiceSettings, command_seconds_max: int | None = COMMAND_SECONDS_MAX
) -> AsyncIterator[Transactions]:
    """Open the service's store at its newest schema; None lets a tool's statements take any time."""
    async with open_database(settings, MIGRATIONS, command_seconds_max) as database:
        transactions = Transactions(database, settings.service)
        try:
            async with background(transactions.checkpoint(), "billing checkpoints"):
                yield transactions
        finally:
            await transactions.close()


def take_snapshot(connection: Connection) -> None:
    """Let all that is read over a connection from now on be of one moment."""
    connection.execute(text(_SNAPSHOT[connection.dialect.name]))


_SNAPSHOT = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}


def _writer(url: URL, service: str, thread: WriterThread) -> Writer:
    if url.get_backend_name() == "sqlite":
        return SqliteWriter(str(url.database), thread)
    return PostgresqlWriter(url, service)


def _run(engine: Engine, work: Work[Result]) -> Result:
    with engine.begin() as connection:
        return work(connection)


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite"),
        hide_parameters=True,  # labels of callers do not belong into logs
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    prepare(connection)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Answer that SQLite is locked or its disk fails with UNAVAILABLE; a violated constraint stays a defect."""
    try:
        yield
    except (exc.OperationalError, OSError) as error:
        raise unavailable(getattr(error, "orig", None) or error) from error
