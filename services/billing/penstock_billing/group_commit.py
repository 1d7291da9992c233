"""Group commit: lists that arrive while a transaction runs share the next one.

A commit costs a disk flush whatever is in it, so one hot budget becomes as fast as many. A lone list is never delayed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from servicekit.errors import ResourceExhausted, ServiceError, Unavailable

from penstock_billing.books import Outcome
from penstock_billing.commands import Command

RETRY_AFTER = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How large a transaction and the queue for it get."""

    transaction_items_max: int
    pending_items_max: int


class GroupCommit:
    """Hands waiting lists to `commit` as one, one after the other."""

    def __init__(
        self, commit: Callable[[Sequence[Command]], Awaitable[Sequence[Outcome]]], limits: GroupLimits
    ) -> None:
        self._commit = commit
        self._limits = limits
        self._pending: deque[_List] = deque()
        self._pending_items = 0
        self._writer: asyncio.Task[None] | None = None

    async def submit(self, commands: Sequence[Command]) -> list[Outcome]:
        """Wait for the transaction that these commands are in.

        Raises:
            ResourceExhausted: too many items wait already (OVERLOADED).
        """
        if self._pending_items + len(commands) > self._limits.pending_items_max:
            raise self._overloaded()
        loop = asyncio.get_running_loop()
        waiting = _List(commands, loop.create_future())
        self._pending.append(waiting)
        self._pending_items += len(commands)
        if self._writer is None:
            self._writer = loop.create_task(self._write_pending(), name="billing writer")
        return await waiting.outcomes

    async def aclose(self) -> None:
        """Wait until everything submitted is committed."""
        if self._writer is not None:
            await self._writer

    async def _write_pending(self) -> None:
        lists: list[_List] = []
        try:
            while self._pending:
                lists = self._take()
                outcomes = iter(await self._commit([command for each in lists for command in each.commands]))
                for each in lists:
                    each.answer(list(islice(outcomes, len(each.commands))))
        finally:
            self._writer = None
            for unanswered in (*lists, *self._pending):
                unanswered.answer([Unavailable("DRAINING", "The process stops.")] * len(unanswered.commands))

    def _take(self) -> list["_List"]:
        """Take as many whole lists as fit, at least one; who hung up while waiting is left out."""
        taken: list[_List] = []
        items = 0
        while self._pending:
            items += len(self._pending[0].commands)
            if taken and items > self._limits.transaction_items_max:
                break
            waiting = self._pending.popleft()
            self._pending_items -= len(waiting.commands)
            if waiting.outcomes.done():
                items -= len(waiting.commands)
            else:
                taken.append(waiting)
        return taken

    def _overloaded(self) -> ServiceError:
        return ResourceExhausted(
            "OVERLOADED",
            "Too many items wait to be recorded.",
            metadata={"queue": "record", "limit": str(self._limits.pending_items_max)},
            retry_after=RETRY_AFTER,
        )


@dataclass(frozen=True, slots=True)
class _List:
    """Commands that came in one call, and who waits for their outcomes."""

    commands: Sequence[Command]
    outcomes: "asyncio.Future[list[Outcome]]"

    def answer(self, outcomes: list[Outcome]) -> None:
        if not self.outcomes.done():
            self.outcomes.set_result(outcomes)
