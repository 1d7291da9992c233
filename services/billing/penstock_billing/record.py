"""The workflow: lists of commands become one transaction each, or share one.

    submit -> wait for the writer -> load -> decide one after the other -> save -> commit -> answer

A commit costs a disk flush, whatever is in it, so lists that arrive while a transaction runs wait and share the next
one (group commit): one hot budget is as fast as many, and a lone list is never delayed. Nobody is answered before the
commit.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import islice

from servicekit.errors import INTERNAL_MESSAGE, Internal, ResourceExhausted, ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from sqlalchemy import Connection

from penstock_billing.books import Books, Outcome
from penstock_billing.clock import Clock, to_us
from penstock_billing.commands import Command
from penstock_billing.ledger import EntryKind
from penstock_billing.prices import PriceBook
from penstock_billing.store import load_books, save_books
from penstock_billing.transactions import Transactions

ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
RETRY_AFTER = timedelta(milliseconds=100)

log = get_logger(__name__)


class Recorder:
    """Records commands. There is one a process; replicas on PostgreSQL keep out of each other's way by locks."""

    def __init__(
        self,
        transactions: Transactions,
        prices: PriceBook,
        clock: Clock,
        *,
        metrics: Metrics,
        transaction_items_max: int,
        pending_items_max: int,
    ) -> None:
        self._transactions = transactions
        self._prices = prices
        self._clock = clock
        self._transaction_items_max = transaction_items_max
        self._pending_items_max = pending_items_max
        self._pending: deque[_List] = deque()
        self._pending_items = 0
        self._writer: asyncio.Task[None] | None = None
        self._metrics = _RecorderMetrics(metrics)

    async def submit(self, commands: Sequence[Command]) -> list[Outcome]:
        """Record a list: when this returns, what was accepted is on disk.

        A storage failure is the outcome of every item. Then nothing of the list was recorded, or all of it was and the
        store could not say so; the same list again gives the right answer.

        Raises:
            ResourceExhausted: too many items wait already (OVERLOADED).
        """
        if self._pending_items + len(commands) > self._pending_items_max:
            raise self._overloaded()
        loop = asyncio.get_running_loop()
        waiting = _List(commands, loop.create_future())
        self._pending.append(waiting)
        self._pending_items += len(commands)
        if self._writer is None:
            self._writer = loop.create_task(self._write_pending(), name="billing writer")
        return await waiting.outcomes

    async def close(self) -> None:
        """Wait until everything submitted is recorded."""
        if self._writer is not None:
            await self._writer

    async def _write_pending(self) -> None:
        lists: list[_List] = []
        try:
            while self._pending:
                lists = self._take()
                await self._record(lists)
        finally:
            self._writer = None
            for unanswered in (*lists, *self._pending):
                unanswered.fail(Unavailable("DRAINING", "The process is stopping."))

    def _take(self) -> list["_List"]:
        """Take as many whole lists as one transaction holds, at least one; who hung up while waiting is left out."""
        taken: list[_List] = []
        items = 0
        while self._pending and (
            not taken or items + len(self._pending[0].commands) <= self._transaction_items_max
        ):
            waiting = self._pending.popleft()
            self._pending_items -= len(waiting.commands)
            if not waiting.outcomes.done():
                taken.append(waiting)
                items += len(waiting.commands)
        return taken

    async def _record(self, lists: list["_List"]) -> None:
        """Record lists in one transaction, and answer them."""
        outcomes = iter(await self._outcomes([command for waiting in lists for command in waiting.commands]))
        for waiting in lists:
            waiting.answer(list(islice(outcomes, len(waiting.commands))))

    async def _outcomes(self, commands: Sequence[Command]) -> list[Outcome]:
        """Record commands in one transaction; after a defect each in its own, so that one cannot fail the others."""
        try:
            books, outcomes = await self._transactions.write(partial(self._transact, commands))
        except ServiceError as error:
            return [error] * len(commands)
        except Exception:
            log.exception("transaction_failed", operations=[command.operation_id for command in commands[:8]])
            if len(commands) == 1:
                return [Internal("INTERNAL", INTERNAL_MESSAGE)]
            return [outcome for command in commands for outcome in await self._outcomes([command])]
        self._metrics.observe(books, len(commands))
        return outcomes

    def _transact(self, commands: Sequence[Command], connection: Connection) -> tuple[Books, list[Outcome]]:
        """Be the transaction; on SQLite this runs in the store's thread."""
        books = load_books(connection, self._prices, commands, to_us(self._clock()))
        outcomes = [books.decide(command) for command in commands]
        save_books(connection, books)
        return books, outcomes

    def _overloaded(self) -> ServiceError:
        return ResourceExhausted(
            "OVERLOADED",
            "Too many items wait to be recorded.",
            metadata={"queue": "record", "limit": str(self._pending_items_max)},
            retry_after=RETRY_AFTER,
        )


class _List:
    """Commands that came in one call, and who waits for their outcomes."""

    __slots__ = ("commands", "outcomes")

    def __init__(self, commands: Sequence[Command], outcomes: "asyncio.Future[list[Outcome]]") -> None:
        self.commands = commands
        self.outcomes = outcomes

    def answer(self, outcomes: list[Outcome]) -> None:
        if not self.outcomes.done():
            self.outcomes.set_result(outcomes)

    def fail(self, error: ServiceError) -> None:
        self.answer([error] * len(self.commands))


class _RecorderMetrics:
    """What operators watch: group size, money moved by kind, and settlements that their holds did not cover."""

    def __init__(self, metrics: Metrics) -> None:
        self._items = metrics.histogram(
            "billing_transaction_items", "Items recorded in one transaction.", buckets=ITEMS_BUCKETS
        )
        entries = metrics.counter("billing_entries_total", "Ledger entries posted.", ["kind"])
        self._entries = {kind: entries.labels(kind.name.lower()) for kind in EntryKind}
        self._overruns = metrics.counter(
            "billing_overruns_total", "Settlements dearer than their holds: the caller let too much through."
        )

    def observe(self, books: Books, items: int) -> None:
        self._items.observe(items)
        for kind, count in Counter(entry.kind for entry in books.entries).items():
            self._entries[kind].inc(count)
        if books.overruns:
            self._overruns.inc(books.overruns)
            log.warning("settlement_above_hold", count=books.overruns)
