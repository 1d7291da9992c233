"""The sums follow the ledger: soon after lines were posted they are folded."""

import asyncio
from functools import partial

from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.fold import fold
from penstock_billing.transactions import Transactions

# A fold keeps SQLite's one writer busy: few lines at a time, so that admissions hardly wait for it.
LINES_MAX = 512
PASSES_MAX = 256

log = get_logger(__name__)


class Folder:
    """Folds what is pending. Of the replicas of a store one folds at a time."""

    def __init__(self, transactions: Transactions, tag_keys: tuple[str, ...]) -> None:
        self._transactions = transactions
        self._tag_keys = tag_keys

    async def run(self, interval_seconds: int) -> None:
        """Fold for ever; what a pass could not do the next one does."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.fold()
            except ServiceError as error:
                log.warning("fold_failed", reason=error.reason)

    async def fold(self) -> int:
        """Fold what is pending now and give how many lines that were."""
        folded = 0
        for _ in range(PASSES_MAX):
            done = await self._transactions.write(partial(fold, tag_keys=self._tag_keys, lines_max=LINES_MAX))
            folded += done
            if done < LINES_MAX:
                break
        return folded
