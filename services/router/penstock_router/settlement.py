"""What an operation used, on its way to billing: on disk before the caller is answered, posted when it can be."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from penstock.billing.v1 import hold_service_pb2
from servicekit.errors import Aborted, DeadlineExceeded, ServiceError, Unavailable
from servicekit.metrics import Metrics
from servicekit.spool import Delivery, Spool, open_spool

from penstock_router.operation import Operation
from penstock_router.peers import BillingPeer, ListCall
from penstock_router.settings import RouterSettings

_SETTLE = b"S"
_RELEASE = b"R"

# What another try may change. Everything else is a record that billing will never take.
_PASSING = (Unavailable, DeadlineExceeded, Aborted)


class Settlement:
    """Closes operations at billing through a spool, so that neither its absence nor our own death loses one."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def close(self, operation: Operation) -> None:
        """Settle what was used, or give back a hold that nothing was used of; returns when it is on disk.

        Raises:
            Unavailable: the disk does not take it (STORAGE_UNAVAILABLE).
        """
        if operation.usages:
            item = hold_service_pb2.SettleItem(
                context=operation.context,
                operation_id=operation.id,
                attempts=operation.usages,
                model=operation.model.id,
                operation=operation.kind,
                metadata=operation.metadata,
            )
            item.context.ClearField("deadline_time")
            item.end_time.GetCurrentTime()
            await self._spool.append(_SETTLE + item.SerializeToString())
        elif operation.grant is not None:
            release = hold_service_pb2.ReleaseItem(context=operation.context, operation_id=operation.id)
            release.context.ClearField("deadline_time")
            await self._spool.append(_RELEASE + release.SerializeToString())


@asynccontextmanager
async def open_settlement(
    settings: RouterSettings, billing: BillingPeer, metrics: Metrics
) -> AsyncIterator[Settlement]:
    """Open the spool, deliver what an earlier life left in it, and on exit what this one did."""

    async def deliver(records: list[bytes]) -> list[Delivery]:
        outcomes = dict(await _send(records, _SETTLE, hold_service_pb2.SettleItem, billing.settle))
        outcomes |= await _send(records, _RELEASE, hold_service_pb2.ReleaseItem, billing.release)
        return [outcomes.get(position, Delivery.POISON) for position in range(len(records))]

    directory = settings.service_dir / "settlements"
    async with open_spool(directory, deliver=deliver, metrics=metrics, name="settlements") as spool:
        yield Settlement(spool)


async def _send(
    records: Sequence[bytes], kind: bytes, item_class: type[Any], call: ListCall[Any, Any]
) -> dict[int, Delivery]:
    """Send the records of one kind as one list, and say of each position what became of it."""
    positions = [position for position, record in enumerate(records) if record[:1] == kind]
    if not positions:
        return {}
    items = [item_class.FromString(records[position][1:]) for position in positions]
    try:
        results = await call(items)
    except ServiceError as error:
        return dict.fromkeys(positions, _outcome(error))
    return {
        position: _outcome(result) if isinstance(result, ServiceError) else Delivery.DONE
        for position, result in zip(positions, results, strict=True)
    }


def _outcome(error: ServiceError) -> Delivery:
    return Delivery.RETRY if isinstance(error, _PASSING) else Delivery.POISON
