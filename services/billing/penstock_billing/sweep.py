"""Holds whose lease ran out give their money back."""

import asyncio
from dataclasses import dataclass
from functools import partial

from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.clock import DAY_US, HOUR_US, Clock, to_us
from penstock_billing.ledger import Hold, HoldState
from penstock_billing.record import Recorder
from penstock_billing.store import forget_idle_counts, read_overdue
from penstock_billing.transactions import Transactions

PASSES_MAX = 16
# The longest window is a day; clocks may differ by another.
IDLE_US = 2 * DAY_US
FORGOTTEN_MAX = 10_000

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
        self._forget_us = 0

    async def run(self, interval_seconds: int) -> None:
        """Sweep for ever; what a pass could not do the next one does."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.sweep()
                await self._forget()
            except ServiceError as error:
                log.warning("sweep_failed", reason=error.reason)

    async def _forget(self) -> None:
        """Forget counts of limits that callers of days ago left, once an hour."""
        now_us = to_us(self._clock())
        if now_us >= self._forget_us:
            self._forget_us = now_us + HOUR_US
            before_ms = (now_us - IDLE_US) // 1000
            await self._transactions.write(
                partial(forget_idle_counts, before_ms=before_ms, items_max=FORGOTTEN_MAX)
            )

    async def sweep(self) -> int:
        """Expire what is overdue now and give how many holds that were.

        Whether a hold is still overdue is decided again in the transaction: it may be settled or extended meanwhile.
        """
        expired: list[Hold] = []
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
            expired += [hold for hold in done if hold.state is HoldState.EXPIRED]
            if len(done) < self._limits.items_max:
                break
        if expired:
            amount_nanos = sum(hold.amount_nanos for hold in expired)
            log.info("holds_expired", count=len(expired), amount_nanos=amount_nanos)
        return len(expired)
