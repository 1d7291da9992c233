"""The composition root."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import SystemRandom

from penstock.cache.v1.answer_cache_service_pb2_grpc import add_AnswerCacheServiceServicer_to_server
from penstock.cache.v1.answer_feedback_service_pb2_grpc import add_AnswerFeedbackServiceServicer_to_server
from penstock.cache.v1.cache_service_pb2_grpc import add_CacheServiceServicer_to_server
from servicekit.background import background
from servicekit.metrics import Metrics
from servicekit.server import AddServicer, Service

from penstock_cache.entry import Selector
from penstock_cache.erasure_log import ErasureLog
from penstock_cache.feedback import Learner
from penstock_cache.flights import Flights
from penstock_cache.forgetting import Forgetting
from penstock_cache.freezing import keep_frozen
from penstock_cache.instruments import Lookups, MemoryCollector, PredictionCollector, SemanticCollector
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import RoomKeys
from penstock_cache.peers import connect_encoder
from penstock_cache.policy import StoragePolicy
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.question import Tier
from penstock_cache.recall import ExactTiers
from penstock_cache.rooms import Rooms
from penstock_cache.root_secret import load_root_secret
from penstock_cache.semantic.tier import SemanticLimits, SemanticTier
from penstock_cache.servicer import Beside, CacheServicer
from penstock_cache.servicer_public import AnswerCacheServicer, AnswerFeedbackServicer
from penstock_cache.settings import CacheSettings
from penstock_cache.shared.announcements import Announcements
from penstock_cache.shared.connection import RedisConnection, connect_redis
from penstock_cache.shared.leases import RedisLeases
from penstock_cache.shared.tier import SharedTier
from penstock_cache.single_flight import SingleFlight
from penstock_cache.snapshot import Snapshots
from penstock_cache.standing import Standings
from penstock_cache.sweeper import sweeping
from penstock_cache.tally import Tallies


@asynccontextmanager
async def build(settings: CacheSettings, clock: Callable[[], float] = time.time) -> AsyncIterator[Service]:
    """Compose the cache. The clock gives seconds since the epoch."""
    metrics = Metrics()
    memory = Memory(settings.bytes_max)
    metrics.registry.register(MemoryCollector(memory))
    keys = RoomKeys(load_root_secret(settings.service_dir / "root_secret"))
    async with AsyncExitStack() as stack:
        encoder = connect_encoder(settings.inference_address, settings.encoder, metrics)
        embedder = await stack.enter_async_context(encoder)
        redis = await stack.enter_async_context(_redis(settings, metrics))
        shared, announcements, leases = [], None, None
        if redis is not None:
            announcements = Announcements(redis)
            leases = RedisLeases(redis, settings.flight_lease_seconds, settings.redis_seconds_max)
            shared = [SharedTier(redis, keys, settings.redis_seconds_max, announcements.announce)]
        exact = ExactTiers(memory, shared)
        semantic = SemanticTier(embedder, exact.recall, _semantic_limits(settings), SystemRandom())
        stack.push_async_callback(semantic.close)
        metrics.registry.register(SemanticCollector(semantic))
        erasures = ErasureLog(settings.service_dir / "erasures.jsonl", keys)
        snapshots = Snapshots(settings.service_dir / "snapshot", keys, memory, erasures.count)
        predictor = Predictor()
        tallies = Tallies()
        metrics.registry.register(PredictionCollector(predictor, tallies))
        cache = AnswerCache(
            memory,
            [*shared, semantic],
            Lookups(metrics),
            tallies,
            StoragePolicy(settings.temperature_max, settings.keep_with_tools, settings.keep_restricted),
            forget_beside=partial(_forget_beside, snapshots, predictor),
            answer_bytes_max=settings.answer_bytes_max,
            ttl_seconds_max=settings.ttl_seconds_max,
        )
        if announcements:
            following = announcements.follow(
                cache.forget_here, partial(_forget_all, memory, semantic, predictor)
            )
            await stack.enter_async_context(background(following, "announcements"))
        else:  # with Redis, Redis is what a start is warm from, and it knows what was forgotten meanwhile
            await snapshots.restore(clock())
            stack.push_async_callback(snapshots.write)
            keeping_up = snapshots.keep_up(settings.snapshot_interval_seconds)
            await stack.enter_async_context(background(keeping_up, "snapshots"))
        flight = SingleFlight(
            Flights(settings.flight_lease_seconds),
            leases,
            exact.recall,
            clock,
            settings.flight_wait_seconds_max,
        )
        learner = Learner(semantic, embedder, announcements.announce if announcements else None)
        rooms = Rooms(keys)
        forgetting = Forgetting(cache, erasures, rooms.forget, clock)
        beside = Beside(flight, learner, forgetting, predictor)
        for tier in (memory, semantic, flight, tallies):
            await stack.enter_async_context(sweeping(tier, clock, settings.sweep_interval_seconds))
        freezing = keep_frozen(settings.sweep_interval_seconds)
        await stack.enter_async_context(background(freezing, "freezing"))
        servicers: list[tuple[AddServicer, object]] = [
            (
                add_CacheServiceServicer_to_server,
                CacheServicer(cache, beside, rooms, clock, settings.lookup_seconds_min),
            ),
            (
                add_AnswerCacheServiceServicer_to_server,
                AnswerCacheServicer(Standings(memory, semantic, tallies, predictor), forgetting),
            ),
            (add_AnswerFeedbackServiceServicer_to_server, AnswerFeedbackServicer(learner)),
        ]
        yield Service(settings, servicers, metrics)


@asynccontextmanager
async def _redis(settings: CacheSettings, metrics: Metrics) -> AsyncIterator[RedisConnection | None]:
    """Connect to Redis, if there is to be one."""
    if not settings.redis_url:
        yield None
        return
    async with connect_redis(settings.redis_url, metrics) as redis:
        yield redis


def _forget_all(memory: Memory, semantic: SemanticTier, predictor: Predictor) -> None:
    """Forget what this replica alone holds."""
    memory.forget_all()
    semantic.forget_all()
    predictor.forget_all()


def _forget_beside(
    snapshots: Snapshots, predictor: Predictor, organization: str, selector: Selector
) -> dict[Tier, int]:
    """Forget what no tier forgets."""
    snapshots.discard()
    return {Tier.L4: predictor.forget(organization, selector)}


def _semantic_limits(settings: CacheSettings) -> SemanticLimits:
    return SemanticLimits(
        bytes_max=settings.semantic_bytes_max,
        lookup_seconds_max=settings.semantic_lookup_seconds_max,
        wrong_share_max=settings.semantic_wrong_share_max,
        shadow_share=settings.semantic_shadow_share,
    )
