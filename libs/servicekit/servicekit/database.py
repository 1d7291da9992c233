"""One code path for SQLite and PostgreSQL: SQLAlchemy Core, async, migrated by Alembic at start.

The cost is per transaction and per statement (figures in the README), so a list RPC does one transaction, and in
it one statement a table (`executemany`, or VALUES of many rows).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, exc, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from servicekit.errors import Unavailable
from servicekit.logging import get_logger
from servicekit.settings import ServiceSettings
from servicekit.sqlite import WRITING, Result, SqliteThreads, Work, sqlite_engine, transact

CONNECTIONS_MAX = 8
CONNECT_SECONDS_MAX = 5
COMMAND_SECONDS_MAX = 10
_MIGRATION_LOCK = 0x50454E53

log = get_logger(__name__)


class Database:
    """The store of one service. Reads may run beside each other and beside a write."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._threads = SqliteThreads(engine.url, CONNECTIONS_MAX) if self.is_sqlite else None
        # SQLite takes one writer at a time. Queueing here is fair and cheap; its own busy handler polls.
        self._writer = asyncio.Lock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        """Tell the embedded store from the real server, for the few statements that differ (FOR UPDATE)."""
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Write: committed on exit, rolled back on an exception; one at a time on SQLite (BEGIN IMMEDIATE).

        Raises:
            Unavailable: the store does not answer, or its lock was not got in 5 s (STORAGE_UNAVAILABLE).
        """
        with _store_errors():
            async with self._writer, self.engine.connect() as connection:
                await connection.execution_options(**WRITING)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Read: each statement sees what is committed when it begins.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        with _store_errors():
            async with self.engine.connect() as connection:
                yield connection

    async def write(self, work: Work[Result]) -> Result:
        """Run a function in a transaction: committed when it returns, rolled back when it raises.

        On SQLite it runs whole in one thread, where `transaction` hops to a thread and back for each step of each
        statement. Who gives up waiting does not stop it.

        Raises:
            Unavailable: the store does not answer, or its lock was not got in 5 s (STORAGE_UNAVAILABLE).
        """
        if self._threads is None:
            async with self.transaction() as connection:
                return await connection.run_sync(work)
        with _store_errors():
            async with self._writer:
                return await self._threads.run(partial(transact, work))

    async def read(self, work: Work[Result]) -> Result:
        """Run a function that only reads; each statement sees what is committed when it begins.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        if self._threads is None:
            async with self.connect() as connection:
                return await connection.run_sync(work)
        with _store_errors():
            return await self._threads.run(work)

    async def close(self) -> None:
        """Close the connections, after what runs in threads."""
        if self._threads is not None:
            await asyncio.to_thread(self._threads.close)
        await self.engine.dispose()

    async def ping(self) -> None:
        """Probe the store, for `Service.dependencies`."""
        async with self.connect() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_database(
    settings: ServiceSettings, migrations: Path, command_seconds_max: int | None = COMMAND_SECONDS_MAX
) -> AsyncIterator[Database]:
    """Open the service's store and bring it to the newest schema; safe when several replicas start at once.

    Args:
        settings: `database_url` empty means `<data_dir>/<service>/<service>.db`; a PostgreSQL URL means its
            schema `<service>`, so that services can share a server and share no table.
        migrations: a directory whose `versions/` holds Alembic revisions; it needs no env.py. They take the time
            that they need.
        command_seconds_max: the longest that a statement on PostgreSQL may take; None is for tools, which read
            whole tables.
    """
    url = make_url(
        settings.database_url or f"sqlite+aiosqlite:///{settings.service_dir / settings.service}.db"
    )
    async with _connected(url, settings.service, command_seconds_max) as database:
        async with database.connect() as connection:
            is_current = await connection.run_sync(_is_current, migrations)
        if not is_current:
            async with _connected(url, settings.service, None) as patient:
                await _migrate(patient, migrations, settings.service)
        yield database


@asynccontextmanager
async def _connected(url: URL, service: str, command_seconds_max: int | None) -> AsyncIterator[Database]:
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = (
        sqlite_engine(url, CONNECTIONS_MAX, CONNECT_SECONDS_MAX)
        if is_sqlite
        else _postgresql(url, service, command_seconds_max)
    )
    database = Database(engine)
    try:
        yield database
    finally:
        await database.close()


def _postgresql(url: URL, service: str, command_seconds_max: int | None) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS_MAX,
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_SECONDS_MAX,
            "command_timeout": command_seconds_max,
            "server_settings": {"search_path": service, "application_name": f"penstock-{service}"},
        },
    )


async def _migrate(database: Database, migrations: Path, service: str) -> None:
    async with database.transaction() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service}"'))
        await connection.run_sync(_upgrade, migrations)


def _upgrade(connection: Connection, migrations: Path) -> None:
    if not _is_current(connection, migrations):
        from servicekit.migration import upgrade  # noqa: PLC0415 - Alembic costs a start 0.2 s that a current schema saves

        upgrade(connection, migrations)


def _is_current(connection: Connection, migrations: Path) -> bool:
    return _version(connection) == _newest(migrations)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _newest(migrations: Path) -> str:
    """Find the revision that no other one follows, as Alembic does."""
    texts = [path.read_text() for path in migrations.glob("versions/*.py")]
    (newest,) = {_REVISION.findall(text)[0] for text in texts} - {
        found for text in texts for found in _DOWN_REVISION.findall(text)
    }
    return str(newest)


_REVISION = re.compile(r"""^revision = ["'](\w+)["']""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"""^down_revision = ["'](\w+)["']""", re.MULTILINE)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Answer that the store is down with UNAVAILABLE; a violated constraint or a wrong statement stays what it is."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError, OSError, TimeoutError) as error:
        if isinstance(error, exc.DBAPIError) and not _is_passing(error):
            raise
        log.warning("store_unavailable", error=str(getattr(error, "orig", None) or error))
        message = "The store does not answer; retry."
        raise Unavailable("STORAGE_UNAVAILABLE", message, metadata={"store": "database"}) from error


def _is_passing(error: exc.DBAPIError) -> bool:
    """Tell what may be gone on a retry: a lost connection, a locked file, PostgreSQL's classes of such states."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state[:2] in PASSING_SQLSTATES
    return error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError)


# Connection exceptions, serialization failures, insufficient resources, not in a state for it, operator intervention.
PASSING_SQLSTATES = {"08", "40", "53", "55", "57"}
