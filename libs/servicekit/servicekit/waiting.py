"""Who waits for an answer, until when: the queue and the one timer behind a coalescer."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from servicekit.context import RequestContext
from servicekit.errors import DeadlineExceeded, ServiceError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Waiter(Generic[Item, Result]):
    """One submitted item and the future of its result."""

    __slots__ = ("context", "deadline", "future", "item")

    def __init__(self, item: Item, deadline: float, context: RequestContext | None) -> None:
        self.item = item
        self.deadline = deadline
        self.context = context
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def fail(self, error: ServiceError) -> None:
        """Answer with an error, unless answered or gone."""
        if not self.future.done():
            self.future.set_exception(error)

    def answer(self, result: Result | ServiceError) -> None:
        """Answer, unless answered or gone."""
        if isinstance(result, ServiceError):
            self.fail(result)
        elif not self.future.done():
            self.future.set_result(result)


class Waiters(Generic[Item, Result]):
    """Those whose items are not sent yet, in order, and those of lists in flight; each until its deadline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pending: deque[Waiter[Item, Result]] = deque()
        self._in_flight: list[list[Waiter[Item, Result]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def __len__(self) -> int:
        """Count those whose items are not sent yet."""
        return len(self._pending)

    def add(self, item: Item, deadline: float, context: RequestContext | None) -> Waiter[Item, Result]:
        """Queue an item; at its deadline it fails, sent or not."""
        waiter: Waiter[Item, Result] = Waiter(item, deadline, context)
        self._pending.append(waiter)
        if deadline < self._timer_at:
            self._set_timer(deadline)
        return waiter

    def take(self, items_max: int, bytes_max: int, size: Callable[[Item], int]) -> list[Waiter[Item, Result]]:
        """Take the next list into flight, without what expired or was given up; one item goes whatever its size."""
        taken: list[Waiter[Item, Result]] = []
        now = time.monotonic()
        while self._pending and len(taken) < items_max:
            bytes_max -= size(self._pending[0].item)
            if bytes_max < 0 and taken:
                break
            waiter = self._pending.popleft()
            if waiter.deadline <= now:
                waiter.fail(expired(self._name))
            elif not waiter.future.done():
                taken.append(waiter)
        if taken:
            self._in_flight.append(taken)
        return taken

    def landed(self, taken: list[Waiter[Item, Result]]) -> None:
        """Let go of a list that was answered."""
        self._in_flight = [other for other in self._in_flight if other is not taken]

    def forget(self, waiter: Waiter[Item, Result]) -> None:
        """Free the place of one that gave up before its item was sent."""
        if waiter in self._pending:
            self._pending.remove(waiter)

    def fail(self, error: ServiceError) -> None:
        """Answer everybody with an error and stop the timer."""
        for waiter in self._all():
            waiter.fail(error.copy())
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _all(self) -> Iterator[Waiter[Item, Result]]:
        return chain(*self._in_flight, self._pending)

    def _set_timer(self, deadline: float) -> None:
        """Keep one timer, for the earliest deadline: a timer for each would cost more than all the rest."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = asyncio.get_running_loop().call_later(deadline - time.monotonic(), self._expire)

    def _expire(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now = time.monotonic()
        for waiter in self._all():
            if waiter.deadline <= now:
                waiter.fail(expired(self._name))
        self._pending = deque(waiter for waiter in self._pending if not waiter.future.done())
        alive = (waiter for waiter in self._all() if not waiter.future.done())
        earliest = min((waiter.deadline for waiter in alive), default=math.inf)
        if earliest != math.inf:
            self._set_timer(earliest)


def expired(name: str) -> DeadlineExceeded:
    """Make the error of one whose deadline passed."""
    return DeadlineExceeded("DEADLINE_EXCEEDED", f"The deadline passed before {name} answered.")
