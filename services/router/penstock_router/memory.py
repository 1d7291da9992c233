"""The cache in a request's life: asked before money is set aside, told after the answer was settled."""

import asyncio
import hashlib
from collections.abc import Coroutine
from datetime import timedelta

from google.protobuf.message import DecodeError
from penstock.cache.v1 import cache_entry_pb2, cache_service_pb2
from penstock.guardrail.v1 import finding_pb2
from penstock.router.v1 import chat_completion_pb2, receipt_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_router.answer import is_whole
from penstock_router.conversation import question as question_of
from penstock_router.flights import Flights
from penstock_router.foresight import Foresight, is_ahead
from penstock_router.identity import Principal
from penstock_router.operation import Operation
from penstock_router.peers import CachePeer

STORES_MAX = 1024
COMPARED_CHARACTERS_MAX = 16_384
BODY_BYTES_MAX = 262_144  # a list of answers must fit into one message

CacheControl = chat_completion_pb2.CacheControl
Parameters = chat_completion_pb2.ChatCompletionParameters
Completion = chat_completion_pb2.ChatCompletion

log = get_logger(__name__)


class Memory:
    """Answers that were given before.

    What is kept is what the model said, with redactions in place; they are restored for whoever asks.
    """

    def __init__(self, cache: CachePeer, flights: Flights, foresight: Foresight, metrics: Metrics) -> None:
        self._cache = cache
        self._flights = flights
        self._foresight = foresight
        self._storing: set[asyncio.Task[None]] = set()
        self._dropped = metrics.counter(
            "cache_stores_dropped_total", "Answers not kept because too many were on their way."
        )

    async def recall(self, operation: Operation, asked: Parameters) -> Completion | None:
        """Give what was said to an equal question, or nothing; a cache that is away is asked no more than briefly."""
        control = asked.cache_control
        is_first = operation.question is None
        semantic = control.semantic if control.HasField("semantic") else operation.model.semantic_cache
        operation.question = question_of(asked, _partition(operation, control), semantic=semantic)
        operation.keep = not control.no_store
        operation.limited = asked.HasField("max_completion_tokens")
        if control.no_cache:
            return None
        item = cache_service_pb2.LookupItem(
            context=operation.context,
            partition=operation.question.partition,
            conversation_digest=operation.question.conversation_digest,
            history_digest=operation.question.history_digest,
            query_text=operation.question.query_text,
        )
        if operation.keep:
            item.flight_id = operation.id
            if is_first:
                self._foresight.prepare(operation, asked, item)
        if control.max_age_seconds:
            item.max_age.FromTimedelta(timedelta(seconds=control.max_age_seconds))
        try:
            result = await self._cache.lookup(item)
        except ServiceError as error:
            log.info("cache_bypassed", reason=error.reason)
            return None
        self._foresight.consider(operation, asked, result)
        operation.cache_status = receipt_pb2.CACHE_STATUS_MISS
        if result.HasField("shadow"):
            operation.shadow = result.shadow
        operation.leader_id = result.flight.leader_flight_id
        if operation.leader_id not in ("", operation.id) and self._flights.of(operation) is None:
            result = await self._answer_of_another(operation, item)
        if operation.leader_id == operation.id:
            self._flights.lead(operation)
        return _remembered(operation, result) if result.HasField("hit") else None

    async def _answer_of_another(
        self, operation: Operation, item: cache_service_pb2.LookupItem
    ) -> cache_service_pb2.LookupResult:
        """Wait for what another replica generates. When that comes to nothing we lead, or generate by ourselves."""
        try:
            result = await self._cache.await_flight(item)
        except ServiceError as error:
            log.info("flight_not_awaited", reason=error.reason)
            result = cache_service_pb2.LookupResult()
        operation.leader_id = result.flight.leader_flight_id
        return result

    def keep(self, operation: Operation, said: Completion, asked: Parameters) -> None:
        """Store an answer in the background if it may be kept: whole, settled, and without findings of its own."""
        good = not operation.found_in_answer and is_whole(said, limited=operation.limited)
        if operation.shadow is not None and good:
            self._begin(self._compare(operation, operation.shadow, said))
        if operation.keep and not operation.hit and good and said.ByteSize() <= BODY_BYTES_MAX:
            self._begin(self._store(operation, said, asked))  # which ends the flight, too
        else:
            self.keep_nothing(operation)

    def keep_nothing(self, operation: Operation) -> None:
        """Let another lead, if this operation led the flight of its question."""
        if operation.leader_id == operation.id:
            self._flights.give_up(operation)

    async def close(self) -> None:
        """Wait for what is on its way."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=1)

    def _begin(self, telling: Coroutine[None, None, None]) -> None:
        if len(self._storing) >= STORES_MAX:
            self._dropped.inc()
            telling.close()
            return
        task = asyncio.create_task(telling)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _compare(
        self, operation: Operation, shadow: cache_service_pb2.CacheHit, said: Completion
    ) -> None:
        """Show the cache what it would have answered by meaning beside what the model did, so that it learns."""
        try:
            kept = Completion.FromString(shadow.answer.body)
            comparison = cache_service_pb2.Comparison(kept_text=_text(kept), generated_text=_text(said))
            if comparison.kept_text and comparison.generated_text:
                item = cache_service_pb2.FeedbackItem(
                    context=operation.context, entry_id=shadow.entry_id, comparison=comparison
                )
                item.context.ClearField("deadline_time")
                await self._cache.compare(item)
        except (DecodeError, ServiceError) as error:
            log.info("cache_comparison_failed", error=type(error).__name__)

    async def _store(self, operation: Operation, said: Completion, asked: Parameters) -> None:
        question = operation.question
        assert question is not None
        control = asked.cache_control
        item = cache_service_pb2.StoreItem(
            context=operation.context,
            partition=question.partition,
            conversation_digest=question.conversation_digest,
            history_digest=question.history_digest,
            query_text=question.query_text,
            flight_id=operation.id,
            outcome=cache_service_pb2.ANSWER_OUTCOME_COMPLETE,
            classification=operation.classification,
            temperature=asked.temperature,
            tools_offered=bool(asked.tools),
            ahead=is_ahead(operation),
            tags=control.tags,
            answer=cache_entry_pb2.CachedAnswer(
                body=said.SerializeToString(),
                cost_nanos=operation.cost_nanos,
                generation_ms=operation.elapsed_ms(),
            ),
        )
        item.context.ClearField("deadline_time")
        if control.ttl_seconds:
            item.ttl.FromSeconds(control.ttl_seconds)
        try:
            await self._cache.store(item)
        except ServiceError as error:
            log.info("cache_store_failed", reason=error.reason)


def _partition(operation: Operation, control: CacheControl) -> cache_entry_pb2.Partition:
    """Name the room: personal data stays with its user, the rest is shared as the caller says."""
    scope, scope_id = _scope(operation, control)
    return cache_entry_pb2.Partition(
        organization=operation.principal.organization,
        scope=scope,
        scope_id=scope_id,
        policy_version=operation.policy_version,
        prompt_version=control.prompt_version,
        locale=control.locale,
    )


def _scope(operation: Operation, control: CacheControl) -> tuple[cache_entry_pb2.SharingScope, str]:
    """Say who shares the answer: who the caller says, and for personal data its user alone."""
    principal = operation.principal
    if operation.classification < finding_pb2.CLASSIFICATION_CONFIDENTIAL:
        if control.scope not in (chat_completion_pb2.CACHE_SCOPE_USER, chat_completion_pb2.CACHE_SCOPE_TEAM):
            return cache_entry_pb2.SHARING_SCOPE_ORGANIZATION, ""
        if control.scope == chat_completion_pb2.CACHE_SCOPE_TEAM and principal.team:
            return cache_entry_pb2.SHARING_SCOPE_TEAM, principal.team
    return cache_entry_pb2.SHARING_SCOPE_USER, personal_room(principal, operation.context.user)


def personal_room(principal: Principal, user: str) -> str:
    """Name the room of one user: the user that a key is bound to, or the key with whom it says it acts for."""
    whose = ("user", principal.user) if principal.user else ("key", principal.api_key, user)
    return hashlib.sha256(repr(whose).encode()).hexdigest()


def _remembered(operation: Operation, result: cache_service_pb2.LookupResult) -> Completion | None:
    try:
        said = Completion.FromString(result.hit.answer.body)
    except DecodeError:
        log.warning("cached_answer_unreadable", entry_id=result.hit.entry_id)
        return None
    operation.answered_from_cache(result.hit)
    return said


def _text(completion: Completion) -> str:
    """Give what an answer says, as far as two answers are compared by it."""
    return "\n".join(choice.message.text for choice in completion.choices)[:COMPARED_CHARACTERS_MAX]
