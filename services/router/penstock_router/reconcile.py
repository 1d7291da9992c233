"""Closing what a router that died left open: what was generated is charged, the rest of the money is free again."""

import asyncio
from collections.abc import Callable, Sequence

from penstock.billing.v1 import hold_pb2, hold_service_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_router.attempt import is_used
from penstock_router.peers import BillingPeer
from penstock_router.usage_journal import Produced, UsageJournal, tokens_of

HOLDS_MAX = 64
CLAIM_SECONDS = 60

LapsedHold = hold_service_pb2.LapsedHold
SettleItem = hold_service_pb2.SettleItem
ReleaseItem = hold_service_pb2.ReleaseItem

log = get_logger(__name__)


class Reconciler:
    """Claims lapsed holds and closes them.

    Args:
        billing: gives each lapsed hold to one claimer at a time.
        journal: says what was produced.
        pending: counts the settlements of our own that billing does not have yet; they go first.
        metrics: where what was closed is counted.
    """

    def __init__(
        self, billing: BillingPeer, journal: UsageJournal, pending: Callable[[], int], metrics: Metrics
    ) -> None:
        self._billing = billing
        self._journal = journal
        self._pending = pending
        self._closed = metrics.counter(
            "lapsed_holds_closed_total", "Holds of dead routers, by how they were closed.", ["by"]
        )

    async def run(self, interval_seconds: float) -> None:
        """Reconcile for ever."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                while await self.reconcile() == HOLDS_MAX:
                    pass
            except ServiceError as error:
                log.info("reconciliation_postponed", reason=error.reason)

    async def reconcile(self) -> int:
        """Close what can be closed, and say how many holds were claimed.

        Raises:
            ServiceError: billing or the journal does not answer; claims lapse, and somebody tries again.
        """
        if self._pending():
            return 0
        holds = await self._billing.claim_lapsed(HOLDS_MAX, CLAIM_SECONDS)
        if not holds:
            return 0
        found = await self._journal.read([hold.operation_id for hold in holds])
        settlements, releases = [], []
        for hold in holds:
            produced = found[hold.operation_id]
            if not all(each.ended for each in produced):
                continue  # an engine works on it still; the next claim finds it ended
            attempts = self._attempts(hold, produced)
            if attempts:
                settlements.append(_settlement(hold, attempts))
            elif all(self._journal.covers(sku) for sku in hold.skus):
                releases.append(ReleaseItem(context=hold.context, operation_id=hold.operation_id))
            # Else a provider may have worked on it, which cannot be asked: the hold expires.
        await self._close(settlements, releases)
        return len(holds)

    def _attempts(self, hold: LapsedHold, produced: Sequence[Produced]) -> list[hold_pb2.AttemptUsage]:
        attempts = []
        for each in produced:
            target = self._journal.target(each.model, hold.skus)
            tokens = tokens_of(each)
            if target is not None and is_used(tokens):
                attempts.append(
                    hold_pb2.AttemptUsage(
                        attempt=each.attempt,
                        sku=target.sku,
                        tokens=tokens,
                        endpoint=target.endpoint,
                        outcome=hold_pb2.ATTEMPT_OUTCOME_FAILED,
                    )
                )
        return attempts

    async def _close(self, settlements: list[SettleItem], releases: list[ReleaseItem]) -> None:
        if settlements:
            self._count("settlement", await self._billing.settle(settlements))
        if releases:
            self._count("release", await self._billing.release(releases))

    def _count(self, by: str, results: Sequence[object]) -> None:
        refused = [result for result in results if isinstance(result, ServiceError)]
        for error in refused:
            log.warning("lapsed_hold_not_closed", by=by, reason=error.reason)
        self._closed.labels(by).inc(len(results) - len(refused))
        log.info("lapsed_holds_closed", by=by, holds=len(results) - len(refused))


def _settlement(hold: LapsedHold, attempts: list[hold_pb2.AttemptUsage]) -> SettleItem:
    item = SettleItem(
        context=hold.context,
        operation_id=hold.operation_id,
        attempts=attempts,
        model=hold.model,
        operation="chat",
    )
    item.end_time.GetCurrentTime()
    return item
