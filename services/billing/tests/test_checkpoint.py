"""SQLite's log is copied into the file beside the writer, and begins anew however busy that is."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from penstock_billing.checkpoint import checkpoint_often
from penstock_billing.sqlite_writer import prepare
from penstock_billing.writer_thread import WriterThread
from servicekit.background import background

PAGE_BYTES = 4096
LOG_PAGES_MAX = 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest_asyncio.fixture
async def writer() -> AsyncIterator[WriterThread]:
    thread = WriterThread()
    yield thread
    await thread.close()


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as opened:
        prepare(opened)
        opened.execute("CREATE TABLE texts (text)")
        yield opened


async def test_the_writer_never_copies_by_itself(path: Path, connection: sqlite3.Connection) -> None:
    pages = _write(connection, 1200)
    assert _log_bytes(path) > pages * PAGE_BYTES


async def test_what_is_committed_reaches_the_file_while_nobody_writes(
    path: Path, connection: sqlite3.Connection, writer: WriterThread, tools: Any
) -> None:
    _write(connection, 100)
    async with _checkpoints(path, writer):
        await tools.until(lambda: _bytes(path) > 100 * PAGE_BYTES)


async def test_the_log_begins_anew_though_the_writer_never_rests(
    path: Path, connection: sqlite3.Connection, writer: WriterThread
) -> None:
    written = 0
    async with _checkpoints(path, writer):
        while written < 100 or _log_bytes(path) > written * PAGE_BYTES // 2:
            written += await writer.run(partial(_write, connection, 1))


async def test_pages_that_a_reader_needs_are_written_over_when_it_is_done(
    path: Path, connection: sqlite3.Connection, writer: WriterThread, tools: Any
) -> None:
    _write(connection, 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM texts").fetchall()
        _write(connection, 100)
        async with _checkpoints(path, writer):
            await tools.until(lambda: _bytes(path) > 100 * PAGE_BYTES)
            reader.execute("COMMIT")
            await tools.until(lambda: _bytes(path) > 200 * PAGE_BYTES)


@asynccontextmanager
async def _checkpoints(path: Path, writer: WriterThread) -> AsyncIterator[None]:
    often = checkpoint_often(
        str(path), writer, interval=timedelta(milliseconds=10), log_pages_max=LOG_PAGES_MAX
    )
    async with background(often, "checkpoints"):
        yield


def _write(connection: sqlite3.Connection, pages: int) -> int:
    """Commit rows of a page each."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO texts VALUES (?)", [("x" * PAGE_BYTES,)] * pages)
    connection.execute("COMMIT")
    return pages


def _log_bytes(path: Path) -> int:
    return _bytes(path.with_name(f"{path.name}-wal"))


def _bytes(path: Path) -> int:
    return path.stat().st_size
