"""Days are made ahead of what is posted on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from servicekit.background import background
from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.clock import Clock, to_us
from penstock_billing.partitions import make_days
from penstock_billing.transactions import Transactions

DAYS_AHEAD = 3
INTERVAL_SECONDS = 3600

log = get_logger(__name__)


@asynccontextmanager
async def keep_days_ahead(transactions: Transactions, clock: Clock) -> AsyncIterator[None]:
    """Have today and the days after it while this is open."""
    await _make(transactions, clock)
    async with background(_keep(transactions, clock), "billing days"):
        yield


async def _keep(transactions: Transactions, clock: Clock) -> None:
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        await _make(transactions, clock)


async def _make(transactions: Transactions, clock: Clock) -> None:
    """Make what is missing; what cannot be made now is made an hour later."""
    make = partial(make_days, now_us=to_us(clock()), days=1 + DAYS_AHEAD)
    try:
        made = await transactions.write(make)
    except ServiceError as error:
        log.warning("days_failed", reason=error.reason)
    else:
        if made:
            log.info("days_made", parts=made)
