"""Holds whose lease ran out give their money back."""

import asyncio
from dataclasses import dataclass
from functools import partial

from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.clock import Clock, to_us
from penstock_billing.ledger import Hold, HoldState
from penstock_billing.record import Recorder
from penstock_billing.store import read_overdue
from penstock_billing.transactions import Transactions

PASSES_MAX = 16

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """How many holds expire in one transaction, and how long a lapsed hold is left to be reconciled."""

    items_max: int
    grace_us: int = 0


class Sweeper:
    """Expires overdue holds, so many at a time that admissions hardly wait for it."""

    def __init__(
        self, transactions: Transactions, recorder: Recorder, clock: Clock, limits: SweepLimits
    ) -> None:
        self._transactions = transactions
        self._recorder = recorder
        self._clock = clock
        self._limits = limits

    async def run(self, interval_seconds: int) -> None:
        """Sweep for ever; what a pass could not do the next one does."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.sweep()
            except ServiceError as error:
                log.warning("sweep_failed", reason=error.reason)

    async def sweep(self) -> int:
        """Expire what is overdue now and give how many holds that were.

        Whether a hold is still overdue is decided again in the transaction: it may be settled or extended meanwhile.
        """
        expired = 0
        for _ in range(PASSES_MAX):
            find = partial(
                read_overdue,
                now_us=to_us(self._clock()),
                grace_us=self._limits.grace_us,
                items_max=self._limits.items_max,
            )
            overdue = await self._transactions.read(find)
            outcomes = await self._recorder.submit(overdue) if overdue else []
            done = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
            expired += sum(hold.state is HoldState.EXPIRED for hold in done)
            if len(done) < self._limits.items_max:
                break
        if expired:
            log.info("holds_expired", count=expired)
        return expired
