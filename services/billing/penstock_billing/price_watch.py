"""The price book in force, on every replica within a second."""

import asyncio
from collections.abc import Callable

from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.price_store import read_current, read_version
from penstock_billing.prices import PriceBook
from penstock_billing.transactions import Transactions

INTERVAL_SECONDS = 1

log = get_logger(__name__)


class PriceWatch:
    """Knows the book in force, and tells `use` of another one."""

    def __init__(self, transactions: Transactions, book: PriceBook, use: Callable[[PriceBook], None]) -> None:
        self._transactions = transactions
        self._use = use
        self.book = book

    async def run(self) -> None:
        """Look for ever; while the store does not answer the book stays."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.look()
            except ServiceError as error:
                log.warning("price_watch_failed", reason=error.reason)

    async def look(self) -> None:
        """Take over the book that is in force now."""
        if await self._transactions.read(read_version) != self.book.version:
            self.book = await self._transactions.read(read_current)
            self._use(self.book)
            log.info("price_book_in_force", version=self.book.version)
