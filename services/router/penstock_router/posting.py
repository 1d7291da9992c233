"""Posting what the spool holds, as lists to billing. What broke off is charged by the journal of its engine."""

import time
from collections.abc import Sequence
from typing import Any

from penstock.billing.v1 import hold_pb2, hold_service_pb2
from servicekit.delivery import Delivery
from servicekit.errors import Aborted, DeadlineExceeded, ServiceError, Unavailable
from servicekit.logging import get_logger

from penstock_router.attempt import is_used
from penstock_router.peers import BillingPeer, ListCall
from penstock_router.usage_journal import Produced, UsageJournal, tokens_of

SettleItem = hold_service_pb2.SettleItem
ReleaseItem = hold_service_pb2.ReleaseItem

# How long a settlement waits for the journal of an engine that is away; then what reached us is charged, as estimated.
JOURNAL_PATIENCE_SECONDS = 900

_SETTLE = b"S"
_RELEASE = b"R"

# What another try may change. Everything else is a record that billing will never take.
_PASSING = (Unavailable, DeadlineExceeded, Aborted)
# Another router closed the operation first, by the journal: it was charged once.
_CLOSED = frozenset({"REQUEST_ID_REUSED", "HOLD_NOT_OPEN"})

log = get_logger(__name__)


def write_settlement(item: SettleItem) -> bytes:
    """Write a settlement as a record of the spool."""
    return _SETTLE + item.SerializeToString()


def write_release(item: ReleaseItem) -> bytes:
    """Write a release as a record of the spool."""
    return _RELEASE + item.SerializeToString()


class Posting:
    """Delivers records of the spool."""

    def __init__(self, billing: BillingPeer, journal: UsageJournal) -> None:
        self._billing = billing
        self._journal = journal

    async def deliver(self, records: list[bytes]) -> list[Delivery]:
        """Post records, each kind as one list, and say of each what became of it."""
        settlements, releases = await self._sorted(records)
        outcomes = dict.fromkeys(range(len(records)), Delivery.RETRY)
        outcomes |= await _send(settlements, self._billing.settle)
        outcomes |= await _send(releases, self._billing.release)
        return list(outcomes.values())

    async def _sorted(self, records: list[bytes]) -> tuple[dict[int, SettleItem], dict[int, ReleaseItem]]:
        """Read the records, without those that wait for the journal. What used nothing after all is released."""
        settlements, releases = {}, {}
        for position, record in enumerate(records):
            if record[:1] == _RELEASE:
                releases[position] = ReleaseItem.FromString(record[1:])
            else:
                settlements[position] = SettleItem.FromString(record[1:])
        for position in await self._look_up(settlements):
            del settlements[position]
        for position, item in list(settlements.items()):
            if not item.attempts:
                releases[position] = ReleaseItem(context=item.context, operation_id=item.operation_id)
                del settlements[position]
        return settlements, releases

    async def _look_up(self, settlements: dict[int, SettleItem]) -> list[int]:
        """Put the journal's counts into attempts that we could only estimate; say which positions wait for it."""
        doubtful = {position: item for position, item in settlements.items() if self._doubtful(item)}
        if not doubtful:
            return []
        try:
            found = await self._journal.read([item.operation_id for item in doubtful.values()])
        except ServiceError:
            waiting = [position for position, item in doubtful.items() if _may_wait(item)]
            found = {}
        else:
            waiting = [
                position
                for position, item in doubtful.items()
                if _may_wait(item) and not all(produced.ended for produced in found[item.operation_id])
            ]
        for item in doubtful.values():
            self._correct(item, found.get(item.operation_id, ()))
        return waiting

    def _doubtful(self, item: SettleItem) -> bool:
        return any(self._is_doubtful(attempt) for attempt in item.attempts)

    def _is_doubtful(self, attempt: hold_pb2.AttemptUsage) -> bool:
        return attempt.estimated and self._journal.covers(attempt.sku)

    def _correct(self, item: SettleItem, found: Sequence[Produced]) -> None:
        by_attempt = {produced.attempt: produced for produced in found}
        for attempt in item.attempts:
            if self._is_doubtful(attempt) and attempt.attempt in by_attempt:
                attempt.tokens.CopyFrom(tokens_of(by_attempt[attempt.attempt]))
                attempt.estimated = False
        used = [
            attempt
            for attempt in item.attempts
            if is_used(attempt.tokens) or attempt.outcome == hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT
        ]
        del item.attempts[:]
        item.attempts.extend(used)


def _may_wait(item: SettleItem) -> bool:
    return time.time() - item.end_time.seconds < JOURNAL_PATIENCE_SECONDS


async def _send(items: dict[int, Any], call: ListCall[Any, Any]) -> dict[int, Delivery]:
    """Send items as one list, and say of each position what became of it."""
    if not items:
        return {}
    try:
        results = await call(list(items.values()))
    except ServiceError as error:
        return dict.fromkeys(items, _outcome(error))
    return {
        position: _outcome(result) if isinstance(result, ServiceError) else Delivery.DONE
        for position, result in zip(items, results, strict=True)
    }


def _outcome(error: ServiceError) -> Delivery:
    if error.reason in _CLOSED:
        log.warning("operation_closed_before", reason=error.reason)
        return Delivery.DONE
    return Delivery.RETRY if isinstance(error, _PASSING) else Delivery.POISON
