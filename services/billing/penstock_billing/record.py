"""The workflow: commands become one transaction.

    submit -> wait for the writer -> load -> decide one after the other -> save -> commit -> answer

Nobody is answered before the commit.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from servicekit.errors import INTERNAL_MESSAGE, Internal, ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_billing.books import Books, Outcome
from penstock_billing.clock import Clock, to_us
from penstock_billing.commands import Command
from penstock_billing.group_commit import GroupCommit, GroupLimits
from penstock_billing.ledger import EntryKind
from penstock_billing.prices import PriceBook
from penstock_billing.store import transact
from penstock_billing.transactions import Transactions

ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OPERATIONS_LOGGED_MAX = 8

log = get_logger(__name__)


class Recorder:
    """Records commands. There is one a process; replicas on PostgreSQL keep out of each other's way by locks."""

    def __init__(
        self,
        transactions: Transactions,
        prices: PriceBook,
        clock: Clock,
        metrics: Metrics,
        limits: GroupLimits,
    ) -> None:
        self._transactions = transactions
        self._prices = prices
        self._clock = clock
        self._instruments = _Instruments(metrics)
        self._group = GroupCommit(self._record, limits)

    def use(self, prices: PriceBook) -> None:
        """Price what is admitted from now on by another book; a transaction is priced by one."""
        self._prices = prices

    async def submit(self, commands: Sequence[Command]) -> list[Outcome]:
        """Record commands: when this returns, what was accepted is on disk.

        A storage failure is the outcome of every command. Then nothing of them was recorded, or all of it was and the
        store could not say so; the same commands again get the right answers.

        Raises:
            ResourceExhausted: too many commands wait already (OVERLOADED).
        """
        return await self._group.submit(commands)

    async def aclose(self) -> None:
        """Wait until everything submitted is recorded."""
        await self._group.aclose()

    async def _record(self, commands: Sequence[Command]) -> list[Outcome]:
        """Record commands in one transaction; after a defect each in its own, so that one cannot fail the others."""
        try:
            now_us = to_us(self._clock())
            books, outcomes = await self._transactions.run(partial(transact, self._prices, commands, now_us))
        except ServiceError as error:
            return [error] * len(commands)
        except Exception:
            operations = [command.operation_id for command in commands[:OPERATIONS_LOGGED_MAX]]
            log.exception("transaction_failed", commands=len(commands), operations=operations)
            if len(commands) == 1:
                return [Internal("INTERNAL", INTERNAL_MESSAGE)]
            return [outcome for command in commands for outcome in await self._record([command])]
        self._instruments.observe(books, len(commands))
        return outcomes


class _Instruments:
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
