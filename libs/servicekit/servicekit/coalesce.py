"""The coalescer: calls that arrive while a list is in flight travel together in the next list.

One list per peer method is in flight; a second one goes once enough items wait, so that a peer that waits for its disk
has something to do. The first item starts at once; only under load (the previous list had more than one item and just
went) does the next list linger for company.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, TypeVar

import grpc.aio

from servicekit import context as request_context
from servicekit.context import RequestContext
from servicekit.errors import (
    INTERNAL_MESSAGE,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    from_rpc_error,
)
from servicekit.logging import get_logger
from servicekit.metrics import ITEMS_BUCKETS, Metrics
from servicekit.waiting import Waiter, Waiters, expired

Item = TypeVar("Item")
Result = TypeVar("Result")
ListCall = Callable[[list[Item]], Awaitable[Sequence[Result | ServiceError]]]

UNDER_LOAD_SECONDS = 0.1
RETRY_AFTER = timedelta(milliseconds=100)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CoalescerLimits:
    """How long lists and queues get."""

    items_max: int = 64
    lists_max: int = 2
    second_list_items_min: int = 8
    bytes_max: int = 8 * 1024 * 1024  # a message holds 32 MiB, and an answer may be larger than its question
    linger_seconds: float = 0.005  # at most
    linger_seconds_an_item: float = 0.0002  # of the last list: where more comes, it pays to wait for it
    pending_max: int = 4096
    call_seconds_max: float = 30.0


class Coalescer(Generic[Item, Result]):
    """Turn single calls into list calls.

    Args:
        call: takes a list of items and gives as many results in the same order; a result that is a ServiceError
            fails only its own item. The current context has the list's deadline, so `outgoing()` knows it.
        name: names the peer method in metrics and errors.
        metrics: where `penstock_coalescer_items` (items per list) is observed.
        limits: of lists, queue and calls.
        size: tells the bytes of an item, so that large ones do not outgrow a message together.
    """

    def __init__(
        self,
        call: ListCall[Item, Result],
        *,
        name: str,
        metrics: Metrics,
        limits: CoalescerLimits | None = None,
        size: Callable[[Item], int] = lambda _: 0,
    ) -> None:
        self._call = call
        self._size = size
        self._name = name
        self._limits = limits or CoalescerLimits()
        items = metrics.histogram("coalescer_items", "Items per list sent.", ["name"], ITEMS_BUCKETS)
        self._observe = items.labels(name).observe
        self._waiters = Waiters[Item, Result](name)
        self._tasks: set[asyncio.Task[None]] = set()  # each has a list in flight, or lingers
        self._items_last = 0
        self._ended_at = -math.inf
        self._closed = False

    async def submit(self, item: Item, deadline: float | None = None) -> Result:
        """Send an item with the next list and give its result.

        Args:
            item: what to send.
            deadline: on the monotonic clock; by default that of the current request.

        Raises:
            DeadlineExceeded: the deadline passed before the answer; the item may or may not have been sent.
            ResourceExhausted: `pending_max` items wait already.
            Unavailable: the coalescer is closed, or the peer did not answer within `call_seconds_max`.
            ServiceError: what the peer answered for this item or for the list.
        """
        context = request_context.serving()
        if deadline is None:
            deadline = math.inf if context is None else context.deadline
        self._refuse(deadline)
        waiter = self._waiters.add(item, deadline, context)
        if not self._tasks or self._second_is_due():
            self._tasks.add(asyncio.create_task(self._drain(), name=f"coalescer {self._name}"))
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._waiters.forget(waiter)
            raise

    async def close(self) -> None:
        """Take no new items; wait until what was taken is answered, for `call_seconds_max` at most."""
        self._closed = True
        tasks = self._tasks.copy()
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.call_seconds_max)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        self._waiters.fail(self._draining())

    async def _drain(self) -> None:
        """Send list after list until nothing waits."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiters:
                if self._under_load() and len(self._waiters) < self._limits.items_max:
                    linger = self._limits.linger_seconds_an_item * self._items_last
                    await asyncio.sleep(min(linger, self._limits.linger_seconds))
                waiters = self._waiters.take(self._limits.items_max, self._limits.bytes_max, self._size)
                if waiters:
                    await self._send(waiters)
                    self._waiters.landed(waiters)
        finally:
            self._tasks.discard(task)

    def _second_is_due(self) -> bool:
        limits = self._limits
        return len(self._tasks) < limits.lists_max and len(self._waiters) >= limits.second_list_items_min

    def _under_load(self) -> bool:
        return self._items_last > 1 and time.monotonic() - self._ended_at < UNDER_LOAD_SECONDS

    async def _send(self, waiters: list[Waiter[Item, Result]]) -> None:
        """Make one call and give every waiter its result."""
        self._items_last = len(waiters)
        self._observe(len(waiters))
        try:
            results = await self._call_bounded(waiters)
        except TimeoutError:  # who waits still has time left: it is the peer that does not answer
            _fail(waiters, self._hung())
        except grpc.aio.AioRpcError as error:
            await self._failed(waiters, from_rpc_error(error))
        except ServiceError as error:
            await self._failed(waiters, error)
        except Exception:
            log.exception("coalescer_call_failed", name=self._name)
            _fail(waiters, Internal("INTERNAL", INTERNAL_MESSAGE))
        else:
            for waiter, result in zip(waiters, results, strict=True):
                waiter.answer(result)
        self._ended_at = time.monotonic()

    async def _failed(self, waiters: list[Waiter[Item, Result]], error: ServiceError) -> None:
        """Fail everybody; but if the peer calls the list invalid, send each alone: one bad item fails only itself."""
        if isinstance(error, InvalidArgument) and len(waiters) > 1:
            for waiter in waiters:
                if not waiter.future.done():
                    await self._send([waiter])
        else:
            _fail(waiters, error)

    async def _call_bounded(self, waiters: list[Waiter[Item, Result]]) -> Sequence[Result | ServiceError]:
        """Call for as long as anybody waits, and no longer than the limit: a hung peer must not stop the rest."""
        now = time.monotonic()
        deadline = min(max(waiter.deadline for waiter in waiters), now + self._limits.call_seconds_max)
        request_context.enter(_context_of(waiters, deadline))
        async with asyncio.timeout(deadline - now):
            results = await self._call([waiter.item for waiter in waiters])
        assert len(results) == len(waiters), f"{self._name} answered {len(results)} of {len(waiters)} items"
        return results

    def _refuse(self, deadline: float) -> None:
        if self._closed:
            raise self._draining()
        if deadline <= time.monotonic():
            raise expired(self._name)
        if len(self._waiters) >= self._limits.pending_max:
            raise ResourceExhausted(
                "OVERLOADED",
                f"Too many calls wait for {self._name}.",
                metadata={"queue": self._name, "limit": str(self._limits.pending_max)},
                retry_after=RETRY_AFTER,
            )

    def _hung(self) -> Unavailable:
        dependency = self._name.partition(".")[0]
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE",
            f"{dependency} does not answer; retry.",
            metadata={"dependency": dependency},
        )

    def _draining(self) -> Unavailable:
        return Unavailable("DRAINING", f"{self._name} takes no more calls: this process is stopping.")


def _fail(waiters: list[Waiter[Item, Result]], error: ServiceError) -> None:
    for waiter in waiters:
        waiter.fail(error.copy())


def _context_of(waiters: list[Waiter[Item, Result]], deadline: float) -> RequestContext:
    """Let a lone item's call belong to its request; a list belongs to nobody: its items say whose they are."""
    context = waiters[0].context
    if len(waiters) > 1 or context is None:
        return request_context.fresh(deadline)
    return replace(context, deadline=deadline)
