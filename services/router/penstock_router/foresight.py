"""Answers ahead: what the cache predicts a user to ask next is answered in the background, within a budget.

It goes through the same pipeline as what users ask, so it is screened, authorized, charged to the organization and kept
like that; its usage records have the label AHEAD. Off unless there is a budget.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

from penstock.cache.v1 import cache_service_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2
from servicekit import context as request_context
from servicekit.context import child_traceparent, new_request_id
from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_router.identity import Principal
from penstock_router.operation import Operation

AHEAD = "penstock.ahead"  # label of usage records, and what tells the cache that nobody asked yet
PREDICTIONS_MAX = 5
TEXT_CHARACTERS_MAX = 500  # of a question that something is predicted after
PRIORITY = 10  # after all that somebody waits for
SECONDS_MAX = 120.0
HOUR_SECONDS = 3600.0
ORGANIZATIONS_MAX = 4096
RUNNING_MAX = 64  # organizations at once; each has one background task

Parameters = chat_completion_pb2.ChatCompletionParameters
Answer = Callable[[Parameters, Principal], Awaitable[chat_completion_pb2.ChatCompletion]]

log = get_logger(__name__)


class Purse:
    """What each organization may still spend in this hour. Pure."""

    def __init__(self, nanos_per_hour: int) -> None:
        self.nanos_per_hour = nanos_per_hour
        self._hour = 0
        self._spent: dict[str, int] = {}

    def has_left(self, organization: str, now: float) -> bool:
        """Tell whether something is left; what is begun then may cost more than that, once."""
        hour = int(now // HOUR_SECONDS)
        if hour != self._hour:
            self._hour, self._spent = hour, {}
        if organization not in self._spent and len(self._spent) >= ORGANIZATIONS_MAX:
            return False
        return self._spent.get(organization, 0) < self.nanos_per_hour

    def spend(self, organization: str, nanos: int) -> None:
        """Take out what an answer cost."""
        self._spent[organization] = self._spent.get(organization, 0) + nanos


class Foresight:
    """Answers predictions of one user of an organization at a time.

    Args:
        nanos_per_hour: what it may spend for each organization; 0 turns it off.
        probability_min: what is less likely is not answered.
    """

    def __init__(self, nanos_per_hour: int, probability_min: float) -> None:
        self._purse = Purse(nanos_per_hour)
        self._probability_min = probability_min
        self._answer: Answer | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    def answer_with(self, answer: Answer) -> None:
        """Say who answers."""
        self._answer = answer

    def prepare(self, operation: Operation, asked: Parameters, item: cache_service_pb2.LookupItem) -> None:
        """Ask the cache for predictions where they may be answered: after somebody's question, without redactions."""
        last = asked.messages[-1] if asked.messages else None
        item.ahead = is_ahead(operation)
        if not self._purse.nanos_per_hour or item.ahead or operation.redacted_types or operation.prompts:
            return
        if last is None or last.role != chat_message_pb2.CHAT_ROLE_USER:
            return
        if len(last.text) > TEXT_CHARACTERS_MAX:
            return
        if not item.query_text:
            item.query_text, item.exact_only = last.text, True
        item.predictions_max = PREDICTIONS_MAX

    def consider(
        self, operation: Operation, asked: Parameters, found: cache_service_pb2.LookupResult
    ) -> None:
        """Begin to answer what is likely enough, unless this organization has enough under way."""
        likely = [each for each in found.predictions if each.probability >= self._probability_min]
        organization = operation.principal.organization
        if not likely or organization in self._running or len(self._running) >= RUNNING_MAX:
            return
        texts = [each.query_text for each in likely]
        coming = [_instead(asked, text) for text in texts]
        task = asyncio.create_task(self._answer_all(coming, operation.principal))
        self._running[organization] = task
        task.add_done_callback(partial(self._ended, organization))

    async def close(self) -> None:
        """Stop what is under way; what was generated is charged."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, organization: str, task: asyncio.Task[None]) -> None:
        del self._running[organization]
        if not task.cancelled() and task.exception() is not None:
            log.error("answering_ahead_failed", exc_info=task.exception())

    async def _answer_all(self, coming: Iterable[Parameters], principal: Principal) -> None:
        assert self._answer is not None, "the server says who answers"
        before = request_context.current()
        for parameters in coming:
            if not self._purse.has_left(principal.organization, time.time()):
                return
            request_context.enter(
                replace(
                    before,
                    request_id=new_request_id(),
                    traceparent=child_traceparent(before.traceparent),
                    deadline=time.monotonic() + SECONDS_MAX,
                )
            )
            try:
                said = await self._answer(parameters, principal)
            except ServiceError as error:
                log.info("not_answered_ahead", reason=error.reason)
                return
            self._purse.spend(principal.organization, said.receipt.cost_nanos)


def is_ahead(operation: Operation) -> bool:
    """Tell whether nobody asked yet."""
    return AHEAD in operation.metadata


def _instead(asked: Parameters, text: str) -> Parameters:
    """Ask something else in the same place."""
    coming = Parameters()
    coming.CopyFrom(asked)
    coming.messages[-1].text = text
    coming.priority = PRIORITY
    coming.metadata[AHEAD] = "true"
    return coming
