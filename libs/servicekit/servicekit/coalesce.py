"""The coalescer: calls that arrive while a list is in flight travel together in the next list.

One list per peer method is in flight. The first item starts at once; only under load (the previous list had
more than one item and just went) does the next list linger for company.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import grpc.aio

from servicekit import context as request_context
from servicekit.errors import (
    INTERNAL_MESSAGE,
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    from_rpc_error,
)
from servicekit.logging import get_logger
from servicekit.metrics import ITEMS_BUCKETS, Metrics

Item = TypeVar("Item")
Result = TypeVar("Result")

UNDER_LOAD_SECONDS = 0.1
RETRY_AFTER = timedelta(milliseconds=100)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CoalescerLimits:
    """How long lists and queues get."""

    items_max: int = 64
    linger_seconds: float = 0.001
    pending_max: int = 4096
    call_seconds_max: float = 30.0


class _Waiter(Generic[Item, Result]):
    __slots__ = ("deadline", "future", "item")

    def __init__(self, item: Item, future: "asyncio.Future[Result]", deadline: float) -> None:
        self.item = item
        self.future = future
        self.deadline = deadline


class Coalescer(Generic[Item, Result]):
    """Turn single calls into list calls.

    Args:
        call: takes a list of items and gives as many results in the same order; a result that is a ServiceError
            fails only its own item. The current context has the list's deadline, so `outgoing()` knows it.
        name: names the peer method in metrics and errors.
        metrics: where `penstock_coalescer_items` (items per list) is observed.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Result | ServiceError]]],
        *,
        name: str,
        metrics: Metrics,
        limits: CoalescerLimits | None = None,
    ) -> None:
        self._call = call
        self._name = name
        self._limits = limits or CoalescerLimits()
        items = metrics.histogram(
            "coalescer_items", "Items per list sent to a peer method.", ["name"], ITEMS_BUCKETS
        )
        self._observe = items.labels(name).observe
        self._pending: deque[_Waiter[Item, Result]] = deque()
        self._in_flight: list[_Waiter[Item, Result]] = []
        self._task: asyncio.Task[None] | None = None
        self._items_last = 0
        self._sent_at = -math.inf
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = math.inf
        self._closed = False

    async def submit(self, item: Item, deadline: float | None = None) -> Result:
        """Send an item with the next list and give its result.

        Args:
            item: what to send.
            deadline: on the monotonic clock; by default that of the current request.

        Raises:
            DeadlineExceeded: the deadline passed before the answer; the item may or may not have been sent.
            ResourceExhausted: `pending_max` items wait already.
            ServiceError: what the peer answered for this item or for the list.
        """
        if deadline is None:
            deadline = request_context.current().deadline
        if deadline <= time.monotonic():
            raise self._expired()
        if len(self._pending) >= self._limits.pending_max:
            raise self._overloaded()
        if self._closed:
            raise Unavailable("DRAINING", f"{self._name} takes no new calls.")
        loop = asyncio.get_running_loop()
        waiter: _Waiter[Item, Result] = _Waiter(item, loop.create_future(), deadline)
        self._pending.append(waiter)
        if deadline < self._expiry_at:
            self._arm_expiry(loop, deadline)
        if self._task is None:
            self._task = loop.create_task(self._drain(), name=f"coalescer {self._name}")
        return await waiter.future

    async def close(self) -> None:
        """Take no new items and wait until what was taken is answered."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._limits.call_seconds_max)
        if self._task is not None:
            self._task.cancel()
        if self._expiry is not None:
            self._expiry.cancel()

    async def _drain(self) -> None:
        try:
            while self._pending:
                if self._under_load() and len(self._pending) < self._limits.items_max:
                    await asyncio.sleep(self._limits.linger_seconds)
                self._in_flight = self._take()
                if self._in_flight:
                    await self._send(self._in_flight)
                    self._in_flight = []
        finally:
            self._task = None

    def _under_load(self) -> bool:
        return self._items_last > 1 and time.monotonic() - self._sent_at < UNDER_LOAD_SECONDS

    def _take(self) -> list[_Waiter[Item, Result]]:
        """Take the next list; who gave up or expired while waiting is not sent."""
        taken: list[_Waiter[Item, Result]] = []
        now = time.monotonic()
        while self._pending and len(taken) < self._limits.items_max:
            waiter = self._pending.popleft()
            if waiter.future.done():
                continue
            if waiter.deadline <= now:
                waiter.future.set_exception(self._expired())
                continue
            taken.append(waiter)
        return taken

    async def _send(self, waiters: list[_Waiter[Item, Result]]) -> None:
        self._items_last = len(waiters)
        self._observe(len(waiters))
        now = time.monotonic()
        deadline = min(max(waiter.deadline for waiter in waiters), now + self._limits.call_seconds_max)
        request_context.enter(request_context.fresh(deadline))
        try:
            async with asyncio.timeout(deadline - now):
                results = await self._call([waiter.item for waiter in waiters])
            if len(results) != len(waiters):
                raise Internal("INTERNAL", f"{self._name} answered {len(results)} of {len(waiters)} items.")
        except asyncio.CancelledError:
            self._fail(waiters, Unavailable("DRAINING", f"The call to {self._name} was cancelled."))
            raise
        except TimeoutError:
            self._fail(waiters, self._expired())
        except grpc.aio.AioRpcError as error:
            self._fail(waiters, from_rpc_error(error))
        except ServiceError as error:
            self._fail(waiters, error)
        except Exception:
            log.exception("coalescer_call_failed", name=self._name)
            self._fail(waiters, Internal("INTERNAL", INTERNAL_MESSAGE))
        else:
            self._answer(waiters, results)
        finally:
            self._sent_at = time.monotonic()

    def _answer(self, waiters: list[_Waiter[Item, Result]], results: Sequence[Result | ServiceError]) -> None:
        for waiter, result in zip(waiters, results, strict=True):
            if waiter.future.done():
                continue
            if isinstance(result, ServiceError):
                waiter.future.set_exception(result)
            else:
                waiter.future.set_result(result)

    def _fail(self, waiters: list[_Waiter[Item, Result]], error: ServiceError) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error.copy())

    def _arm_expiry(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Keep one timer, for the earliest deadline: a timer per item would cost more than the item."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry_at = deadline
        self._expiry = loop.call_later(deadline - time.monotonic(), self._expire)

    def _expire(self) -> None:
        self._expiry, self._expiry_at = None, math.inf
        now = time.monotonic()
        earliest = math.inf
        for waiter in (*self._in_flight, *self._pending):
            if waiter.future.done():
                continue
            if waiter.deadline <= now:
                waiter.future.set_exception(self._expired())
            else:
                earliest = min(earliest, waiter.deadline)
        if earliest != math.inf:
            self._arm_expiry(asyncio.get_running_loop(), earliest)

    def _expired(self) -> DeadlineExceeded:
        return DeadlineExceeded("DEADLINE_EXCEEDED", f"The deadline passed before {self._name} answered.")

    def _overloaded(self) -> ResourceExhausted:
        return ResourceExhausted(
            "OVERLOADED",
            f"Too many calls wait for {self._name}.",
            metadata={"queue": self._name, "limit": str(self._limits.pending_max)},
            retry_after=RETRY_AFTER,
        )
