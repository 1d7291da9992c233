"""CacheService: wire to domain and back, nothing else."""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from google.protobuf.duration_pb2 import Duration
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from penstock.cache.v1.cache_entry_pb2 import CACHE_TIER_L1
from penstock.cache.v1.cache_entry_pb2 import Partition as WirePartition
from penstock.context.v1.request_context_pb2 import RequestContext
from servicekit.errors import ServiceError

from penstock_cache.entry import Answer
from penstock_cache.lookup import AnswerCache
from penstock_cache.partition import Partition
from penstock_cache.question import Answered, Hit, Question, Tier

NANOS = 1_000_000_000

_TIERS = MappingProxyType({Tier.L1: CACHE_TIER_L1})


class CacheServicer(cache_service_pb2_grpc.CacheServiceServicer):
    """Serve an AnswerCache. The clock gives seconds since the epoch."""

    def __init__(self, cache: AnswerCache, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock

    async def Lookup(
        self, request: cache_service_pb2.LookupRequest, _context: Any
    ) -> cache_service_pb2.LookupResponse:
        """Look for answers."""
        questions = [_question(item, _age_max(item)) for item in request.items]
        response = cache_service_pb2.LookupResponse()
        for found in self._cache.look_up(questions, self._clock()):
            _write_found(found, response.results.add())
        return response

    async def Store(
        self, request: cache_service_pb2.StoreRequest, _context: Any
    ) -> cache_service_pb2.StoreResponse:
        """Keep answers."""
        answers = [_answered(item) for item in request.items]
        response = cache_service_pb2.StoreResponse()
        for kept in self._cache.keep(answers, self._clock()):
            _write_kept(kept, response.results.add())
        return response

    async def Invalidate(
        self, request: cache_service_pb2.InvalidateRequest, _context: Any
    ) -> cache_service_pb2.InvalidateResponse:
        """Forget answers."""
        return cache_service_pb2.InvalidateResponse(entries=self._forget(request))

    def _forget(self, request: cache_service_pb2.InvalidateRequest) -> int:
        selector = request.WhichOneof("selector")
        assert selector is not None, "validation lets no request through without one"
        if selector == "everything":
            return self._cache.forget_everything(request.organization)
        if selector == "entry_id":
            return self._cache.forget_entry(request.organization, request.entry_id)
        return self._cache.forget_labelled(request.organization, (selector, getattr(request, selector)))


def _question(
    item: cache_service_pb2.LookupItem | cache_service_pb2.StoreItem, age_seconds_max: float
) -> Question:
    context = item.context
    return Question(
        organization=context.organization,
        user=context.user,
        deadline=_deadline(context),
        partition=_partition(item.partition),
        conversation_digest=item.conversation_digest,
        age_seconds_max=age_seconds_max,
    )


def _partition(wire: WirePartition) -> Partition:
    return Partition(
        organization=wire.organization,
        scope=wire.scope,
        scope_id=wire.scope_id,
        operation=wire.operation,
        model=wire.model,
        conditions_digest=wire.conditions_digest,
        instructions_digest=wire.instructions_digest,
        locale=wire.locale,
        policy_version=wire.policy_version,
        prompt_version=wire.prompt_version,
    )


def _answered(item: cache_service_pb2.StoreItem) -> Answered:
    wire = item.answer
    return Answered(
        question=_question(item, math.inf),
        answer=Answer(wire.body, wire.cost_nanos, wire.generation_ms),
        ttl_seconds=_seconds(item.ttl) if item.HasField("ttl") else math.inf,
        tags=tuple(item.tags),
    )


def _deadline(context: RequestContext) -> float:
    if not context.HasField("deadline_time"):
        return math.inf
    at = context.deadline_time
    return at.seconds + at.nanos / NANOS


def _age_max(item: cache_service_pb2.LookupItem) -> float:
    return _seconds(item.max_age) if item.HasField("max_age") else math.inf


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / NANOS


def _write_found(found: Hit | ServiceError | None, result: cache_service_pb2.LookupResult) -> None:
    """Write a result; what has no status is OK, and what has no hit is a miss."""
    if isinstance(found, Hit):
        _write_hit(found, result.hit)
    elif found is not None:
        result.status.CopyFrom(found.to_status())


def _write_hit(found: Hit, hit: cache_service_pb2.CacheHit) -> None:
    entry, kept, answer = found.entry, found.entry.answer, hit.answer
    answer.body = kept.body
    answer.cost_nanos = kept.cost_nanos
    answer.generation_ms = kept.generation_ms
    hit.tier = _TIERS[found.tier]
    hit.similarity = found.similarity
    hit.store_time.seconds = int(entry.stored_at)
    hit.store_time.nanos = int(entry.stored_at % 1 * NANOS)
    hit.entry_id = entry.entry_id


def _write_kept(kept: str | ServiceError, result: cache_service_pb2.StoreResult) -> None:
    if isinstance(kept, ServiceError):
        result.status.CopyFrom(kept.to_status())
    else:
        result.entry_id = kept
