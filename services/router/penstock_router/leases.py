"""The leases of holds: renewed while their operations run, so that those of a router that died lapse soon."""

import asyncio

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import hold_service_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_router.operation import Operation
from penstock_router.peers import BillingPeer

ITEMS_MAX = 256

log = get_logger(__name__)


class Leases:
    """Knows the operations that hold money. `holder` names this replica, across restarts."""

    def __init__(self, billing: BillingPeer, seconds: int, holder: str) -> None:
        self._billing = billing
        self._seconds = seconds
        self.holder = holder
        self._held: dict[str, Operation] = {}
        self._renewed: set[str] = set()  # those that were there the last time: a younger lease is long enough

    @property
    def first(self) -> Duration:
        """How long a lease lasts when it is made."""
        return Duration(seconds=self._seconds)

    def keep(self, operation: Operation) -> None:
        """Renew an operation's lease from now on."""
        self._held[operation.id] = operation

    def drop(self, operation: Operation) -> None:
        """Renew it no more."""
        self._held.pop(operation.id, None)

    async def run(self) -> None:
        """Renew for ever: a lease that is not renewed twice has still a third of its time."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            await self.renew()

    async def renew(self) -> None:
        """Renew every lease that was there the last time, too."""
        due = [operation for operation_id, operation in self._held.items() if operation_id in self._renewed]
        self._renewed = set(self._held)
        for first in range(0, len(due), ITEMS_MAX):
            await self._extend(due[first : first + ITEMS_MAX])

    async def _extend(self, operations: list[Operation]) -> None:
        until = Timestamp()
        until.GetCurrentTime()
        until.seconds += self._seconds
        items = [
            hold_service_pb2.ExtendItem(
                context=operation.context, operation_id=operation.id, expire_time=until
            )
            for operation in operations
        ]
        for item in items:
            item.context.ClearField("deadline_time")
        try:
            await self._billing.extend(items)
        except ServiceError as error:
            log.warning("leases_not_renewed", reason=error.reason, leases=len(items))
