"""People are told that budgets are being used up: from the outbox, at least once, signed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_billing.clock import Clock, to_us
from penstock_billing.outbox_store import Event, claim_events, keep_results, put_alerts
from penstock_billing.transactions import Transactions
from penstock_billing.webhook import headers_of, is_public, problem_of

EVENTS_MAX = 16
PASSES_MAX = 16
DELIVERY_SECONDS_MAX = 10
OK = range(200, 300)

log = get_logger(__name__)


class Alerts:
    """Finds what is to be told, and tells it."""

    def __init__(
        self,
        transactions: Transactions,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        private_addresses: bool,
    ) -> None:
        self._transactions = transactions
        self._session = session
        self._clock = clock
        self._private_addresses = private_addresses

    async def run(self, interval_seconds: int) -> None:
        """Tell for ever; what a pass could not do the next one does."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.tell()
            except ServiceError as error:
                log.warning("alerts_failed", reason=error.reason)

    async def tell(self) -> None:
        """Put new alerts into the outbox, and send what is due in it."""
        await self._transactions.write(partial(put_alerts, now_us=to_us(self._clock())))
        for _ in range(PASSES_MAX):
            claim = partial(claim_events, now_us=to_us(self._clock()), items_max=EVENTS_MAX)
            events = await self._transactions.write(claim)
            errors = await asyncio.gather(*map(self._send, events))
            results = list(zip(events, errors, strict=True))
            if results:
                keep = partial(keep_results, results=results, now_us=to_us(self._clock()))
                await self._transactions.write(keep)
            if len(events) < EVENTS_MAX:
                break

    async def _send(self, event: Event) -> str:
        """Send an event; gives what went wrong, or nothing."""
        webhook = event.webhook
        problem = "" if self._private_addresses else problem_of(webhook.url)
        if problem:
            return problem
        headers = headers_of(webhook, event.event_id, event.body, to_us(self._clock()))
        try:
            async with self._session.post(
                webhook.url, data=event.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__
        return "" if status in OK else f"HTTP {status}"


@asynccontextmanager
async def open_session(*, private_addresses: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the way out; without private addresses, names that lead to one are not found."""
    resolver: AbstractResolver = aiohttp.ThreadedResolver()
    if not private_addresses:
        resolver = _PublicResolver(resolver)
    connector = aiohttp.TCPConnector(limit=EVENTS_MAX, resolver=resolver, force_close=True)
    timeout = aiohttp.ClientTimeout(total=DELIVERY_SECONDS_MAX)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        yield session


class _PublicResolver(AbstractResolver):
    """Leaves out addresses that are not public: the name was checked, and this is what is connected to."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        found = await self._inner.resolve(host, port, family)
        public = [each for each in found if is_public(each["host"])]
        if not public:
            raise OSError(f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()
