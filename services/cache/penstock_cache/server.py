"""The composition root."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from penstock_cache.peers import EmbedPeer, connect_encoder
from penstock_cache.policy import StoragePolicy
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.question import Tier
from penstock_cache.recall import ExactTiers
from penstock_cache.rooms import Rooms
from penstock_cache.root_secret import load_root_secret
from penstock_cache.semantic.reminder import Reminder
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """What everything else stands on."""

    settings: CacheSettings
    clock: Callable[[], float]
    metrics: Metrics
    keys: RoomKeys
    embedder: EmbedPeer
    redis: RedisConnection | None
    announcements: Announcements | None


@dataclass(frozen=True, slots=True)
class _Tiers:
    """Where answers are kept, and what is learnt and counted beside them."""

    memory: Memory
    shared: Sequence[SharedTier]
    exact: ExactTiers
    semantic: SemanticTier
    reminder: Reminder
    predictor: Predictor
    tallies: Tallies

    def forget_all(self) -> None:
        """Forget what this replica alone holds."""
        for each in (self.memory, self.semantic, self.predictor):
            each.forget_all()


@asynccontextmanager
async def build(settings: CacheSettings, clock: Callable[[], float] = time.time) -> AsyncIterator[Service]:
    """Compose the cache. The clock gives seconds since the epoch."""
    async with _opened(settings, clock) as opened, _tiers(opened) as tiers:
        erasures = ErasureLog(settings.service_dir / "erasures.jsonl", opened.keys)
        snapshots = Snapshots(settings.service_dir / "snapshot", opened.keys, tiers.memory, erasures.count)
        cache = _cache(opened, tiers, snapshots)
        rooms = Rooms(opened.keys)
        forgetting = Forgetting(cache, erasures, rooms.forget, clock)
        flights = _flights(opened, tiers)
        announcements = opened.announcements
        learner = Learner(tiers.semantic, opened.embedder, announcements.announce if announcements else None)
        async with _kept_up(opened, tiers, cache, snapshots), _swept(opened, tiers, flights):
            beside = Beside(flights, learner, forgetting, tiers.predictor)
            standings = Standings(tiers.memory, tiers.semantic, tiers.tallies, tiers.predictor)
            servicers: list[tuple[AddServicer, object]] = [
                (
                    add_CacheServiceServicer_to_server,
                    CacheServicer(cache, beside, rooms, clock, settings.lookup_seconds_min),
                ),
                (add_AnswerCacheServiceServicer_to_server, AnswerCacheServicer(standings, forgetting)),
                (add_AnswerFeedbackServiceServicer_to_server, AnswerFeedbackServicer(learner)),
            ]
            yield Service(settings, servicers, opened.metrics)


@asynccontextmanager
async def _opened(settings: CacheSettings, clock: Callable[[], float]) -> AsyncIterator[_Opened]:
    """Read the root secret and connect to peers; to Redis, if there is to be one."""
    metrics = Metrics()
    keys = RoomKeys(load_root_secret(settings.service_dir / "root_secret"))
    async with AsyncExitStack() as stack:
        encoder = connect_encoder(settings.inference_address, settings.encoder, metrics)
        embedder = await stack.enter_async_context(encoder)
        redis, announcements = None, None
        if settings.redis_url:
            redis = await stack.enter_async_context(connect_redis(settings.redis_url, metrics))
            announcements = Announcements(redis)
        yield _Opened(settings, clock, metrics, keys, embedder, redis, announcements)


@asynccontextmanager
async def _tiers(opened: _Opened) -> AsyncIterator[_Tiers]:
    """Make the tiers, and show them to Prometheus."""
    settings, registry = opened.settings, opened.metrics.registry
    memory, predictor, tallies = Memory(settings.bytes_max), Predictor(), Tallies()
    shared = []
    if opened.redis is not None and opened.announcements is not None:
        announce = opened.announcements.announce
        shared.append(SharedTier(opened.redis, opened.keys, settings.redis_seconds_max, announce))
    exact = ExactTiers(memory, shared)
    semantic = SemanticTier(opened.embedder, exact.recall, _semantic_limits(settings), SystemRandom())
    registry.register(MemoryCollector(memory))
    registry.register(SemanticCollector(semantic))
    registry.register(PredictionCollector(predictor, tallies))
    reminder = Reminder(semantic)
    try:
        yield _Tiers(memory, shared, exact, semantic, reminder, predictor, tallies)
    finally:
        await reminder.close()
        await semantic.close()


def _cache(opened: _Opened, tiers: _Tiers, snapshots: Snapshots) -> AnswerCache:
    settings = opened.settings
    return AnswerCache(
        tiers.memory,
        [*tiers.shared, tiers.semantic],
        Lookups(opened.metrics),
        tiers.tallies,
        StoragePolicy(settings.temperature_max, settings.keep_with_tools, settings.keep_restricted),
        remind=tiers.reminder.remind,
        forget_beside=partial(_forget_beside, snapshots, tiers.predictor),
        answer_bytes_max=settings.answer_bytes_max,
        ttl_seconds_max=settings.ttl_seconds_max,
    )


def _forget_beside(
    snapshots: Snapshots, predictor: Predictor, organization: str, selector: Selector
) -> dict[Tier, int]:
    """Forget what no tier forgets."""
    snapshots.discard()
    return {Tier.L4: predictor.forget(organization, selector)}


def _flights(opened: _Opened, tiers: _Tiers) -> SingleFlight:
    settings, leases = opened.settings, None
    if opened.redis is not None:
        leases = RedisLeases(opened.redis, settings.flight_lease_seconds, settings.redis_seconds_max)
    flights = Flights(settings.flight_lease_seconds)
    return SingleFlight(flights, leases, tiers.exact.recall, opened.clock, settings.flight_wait_seconds_max)


@asynccontextmanager
async def _kept_up(
    opened: _Opened, tiers: _Tiers, cache: AnswerCache, snapshots: Snapshots
) -> AsyncIterator[None]:
    """Hear what other replicas forget; alone, be warm from a snapshot and write the next ones.

    With Redis, Redis is what a start is warm from, and it knows what was forgotten meanwhile.
    """
    if opened.announcements is not None:
        following = opened.announcements.follow(cache.forget_here, tiers.forget_all)
        async with background(following, "announcements"):
            yield
        return
    await snapshots.restore(opened.clock())
    try:
        async with background(snapshots.keep_up(opened.settings.snapshot_interval_seconds), "snapshots"):
            yield
    finally:
        await snapshots.write()


@asynccontextmanager
async def _swept(opened: _Opened, tiers: _Tiers, flights: SingleFlight) -> AsyncIterator[None]:
    """Drop what is past its time, and keep the garbage collector away from the rest."""
    interval_seconds = opened.settings.sweep_interval_seconds
    async with AsyncExitStack() as stack:
        for swept in (tiers.memory, tiers.semantic, flights, tiers.tallies):
            await stack.enter_async_context(sweeping(swept, opened.clock, interval_seconds))
        await stack.enter_async_context(background(keep_frozen(interval_seconds), "freezing"))
        yield


def _semantic_limits(settings: CacheSettings) -> SemanticLimits:
    return SemanticLimits(
        bytes_max=settings.semantic_bytes_max,
        lookup_seconds_max=settings.semantic_lookup_seconds_max,
        wrong_share_max=settings.semantic_wrong_share_max,
        shadow_share=settings.semantic_shadow_share,
    )
