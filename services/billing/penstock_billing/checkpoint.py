"""SQLite's write-ahead log is copied into the file beside the writer.

Left to itself SQLite does that within a commit, every thousand pages, and everybody waits while it syncs the file. Here
another connection copies what is committed so far. Under load the log has grown again when it is done, and would never
be begun anew; so once it is long, the writer's thread copies the little that is left, between two transactions.
"""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial

from servicekit.background import completed
from servicekit.logging import get_logger
from servicekit.sqlite import BUSY_SECONDS

from penstock_billing.writer_thread import WriterThread

INTERVAL = timedelta(seconds=1)
# 16 MiB.
LOG_PAGES_MAX = 4096

log = get_logger(__name__)


async def checkpoint_often(
    path: str,
    writer: WriterThread,
    *,
    interval: timedelta = INTERVAL,
    log_pages_max: int = LOG_PAGES_MAX,
) -> None:
    """Copy for ever; what cannot be copied now stays in the log, where it is as safe.

    Args:
        path: the file.
        writer: the thread that writes to it.
        interval: how long it rests between two copies.
        log_pages_max: from how many pages on the writer helps.
    """
    while True:
        await asyncio.sleep(interval.total_seconds())
        try:
            await completed(asyncio.create_task(_checkpoint(path, writer, log_pages_max)))
        except sqlite3.OperationalError as error:
            log.warning("checkpoint_failed", error=str(error))


async def _checkpoint(path: str, writer: WriterThread, log_pages_max: int) -> None:
    if await asyncio.to_thread(_copy, path) > log_pages_max:
        await writer.run(partial(_copy, path))


def _copy(path: str) -> int:
    """Copy what no reader needs the old pages of, and give how many pages the log has."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        _busy, pages, _copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)
