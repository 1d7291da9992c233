"""CacheService: wire to domain and back, nothing else."""

import math
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from google.protobuf.duration_pb2 import Duration
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from penstock.cache.v1.cache_entry_pb2 import CACHE_TIER_L1, CACHE_TIER_L2, CACHE_TIER_L3, CACHE_TIER_L4
from penstock.cache.v1.cache_entry_pb2 import Partition as WirePartition
from penstock.context.v1.request_context_pb2 import RequestContext
from servicekit.errors import ServiceError

from penstock_cache.entry import Answer
from penstock_cache.feedback import Comparison, Judged, Learner, Verdict
from penstock_cache.lookup import AnswerCache
from penstock_cache.partition import Partition, Room, RoomKeys
from penstock_cache.question import Answered, Hit, Question, Tier

NANOS = 1_000_000_000
ROOMS_MAX = 4096

_TIERS = MappingProxyType(
    {Tier.L1: CACHE_TIER_L1, Tier.L2: CACHE_TIER_L2, Tier.L3: CACHE_TIER_L3, Tier.L4: CACHE_TIER_L4}
)
_VERDICTS = MappingProxyType(
    {Verdict.RIGHT: cache_service_pb2.VERDICT_RIGHT, Verdict.WRONG: cache_service_pb2.VERDICT_WRONG}
)


class CacheServicer(cache_service_pb2_grpc.CacheServiceServicer):
    """Serve an AnswerCache. The clock gives seconds since the epoch."""

    def __init__(
        self, cache: AnswerCache, learner: Learner, keys: RoomKeys, clock: Callable[[], float]
    ) -> None:
        self._cache = cache
        self._learner = learner
        self._clock = clock
        # Rooms come again and again: one that was read before is found by its bytes.
        self._room = lru_cache(ROOMS_MAX)(lambda wire: keys.room(_partition(WirePartition.FromString(wire))))

    async def Lookup(
        self, request: cache_service_pb2.LookupRequest, _context: Any
    ) -> cache_service_pb2.LookupResponse:
        """Look for answers."""
        questions = [self._question(item, _age_max(item)) for item in request.items]
        response = cache_service_pb2.LookupResponse()
        for found in await self._cache.look_up(questions, self._clock()):
            _write_found(found, response.results.add())
        return response

    async def Store(
        self, request: cache_service_pb2.StoreRequest, _context: Any
    ) -> cache_service_pb2.StoreResponse:
        """Keep answers."""
        answers = [self._answered(item) for item in request.items]
        response = cache_service_pb2.StoreResponse()
        for kept in await self._cache.keep(answers, self._clock()):
            _write_kept(kept, response.results.add())
        return response

    async def Feedback(
        self, request: cache_service_pb2.FeedbackRequest, _context: Any
    ) -> cache_service_pb2.FeedbackResponse:
        """Learn whether answers fitted."""
        response = cache_service_pb2.FeedbackResponse()
        for learnt in await self._learner.learn([_judged(item) for item in request.items]):
            result = response.results.add()
            if isinstance(learnt, ServiceError):
                result.status.CopyFrom(learnt.to_status())
            else:
                result.verdict = _VERDICTS[learnt]
        return response

    async def Invalidate(
        self, request: cache_service_pb2.InvalidateRequest, _context: Any
    ) -> cache_service_pb2.InvalidateResponse:
        """Forget answers."""
        kind = request.WhichOneof("selector")
        assert kind is not None, "validation lets no request through without one"
        value = "" if kind == "everything" else getattr(request, kind)
        self._room.cache_clear()  # it names users and organizations
        return cache_service_pb2.InvalidateResponse(
            entries=await self._cache.forget(request.organization, (kind, value))
        )

    def _question(
        self, item: cache_service_pb2.LookupItem | cache_service_pb2.StoreItem, age_seconds_max: float
    ) -> Question:
        context = item.context
        room: Room = self._room(item.partition.SerializeToString())
        return Question(
            context.organization,
            context.user,
            _deadline(context),
            room,
            room.key(item.conversation_digest),
            age_seconds_max,
            item.query_text,
            item.history_digest,
        )

    def _answered(self, item: cache_service_pb2.StoreItem) -> Answered:
        wire = item.answer
        return Answered(
            question=self._question(item, math.inf),
            answer=Answer(wire.body, wire.cost_nanos, wire.generation_ms),
            ttl_seconds=_seconds(item.ttl) if item.HasField("ttl") else math.inf,
            tags=tuple(item.tags),
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
        _write_hit(found, result.shadow if found.held_back else result.hit)
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
    hit.confidence = found.confidence


def _judged(item: cache_service_pb2.FeedbackItem) -> Judged:
    if item.HasField("comparison"):
        compared = Comparison(item.comparison.kept_text, item.comparison.generated_text)
        return Judged(item.context.organization, item.entry_id, compared)
    return Judged(item.context.organization, item.entry_id, Verdict(item.verdict))


def _write_kept(kept: str | ServiceError, result: cache_service_pb2.StoreResult) -> None:
    if isinstance(kept, ServiceError):
        result.status.CopyFrom(kept.to_status())
    else:
        result.entry_id = kept
