"""What an operation used, on its way to billing: on disk before the caller is answered, posted when it can be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from penstock.billing.v1 import hold_service_pb2
from servicekit.delivery import DeliveryLimits
from servicekit.metrics import Metrics
from servicekit.spool import Spool, SpoolLimits, open_spool

from penstock_router.leases import Leases
from penstock_router.operation import Operation
from penstock_router.posting import Posting, write_release, write_settlement

# No caller waits for the posting, and long lists cost the ledger a fraction of short ones.
_LIMITS = SpoolLimits(delivery=DeliveryLimits(linger_seconds=0.05))


class Settlement:
    """Closes operations at billing through a spool, so that neither its absence nor our own death loses one."""

    def __init__(self, spool: Spool, leases: Leases) -> None:
        self._spool = spool
        self._leases = leases

    @property
    def pending(self) -> int:
        """How many are not at billing yet."""
        return self._spool.pending

    async def close(self, operation: Operation) -> None:
        """Settle what was used, or give back a hold that nothing was used of; returns when it is on disk.

        Raises:
            Unavailable: the disk does not take it (STORAGE_UNAVAILABLE).
        """
        self._leases.drop(operation)
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
            await self._spool.append(write_settlement(item))
        elif operation.grant is not None:
            release = hold_service_pb2.ReleaseItem(context=operation.context, operation_id=operation.id)
            release.context.ClearField("deadline_time")
            await self._spool.append(write_release(release))


@asynccontextmanager
async def open_settlement(
    directory: Path, posting: Posting, leases: Leases, metrics: Metrics
) -> AsyncIterator[Settlement]:
    """Open the spool, deliver what an earlier life left in it, and on exit what this one did."""
    async with open_spool(
        directory, deliver=posting.deliver, metrics=metrics, name="settlements", limits=_LIMITS
    ) as spool:
        yield Settlement(spool, leases)
