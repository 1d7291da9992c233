"""The composition root."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from penstock.cache.v1.cache_service_pb2_grpc import add_CacheServiceServicer_to_server
from servicekit.metrics import Metrics
from servicekit.server import Service

from penstock_cache.instruments import Lookups, MemoryCollector
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import RoomKeys
from penstock_cache.root_secret import load_root_secret
from penstock_cache.servicer import CacheServicer
from penstock_cache.settings import CacheSettings
from penstock_cache.sweeper import sweeping


@asynccontextmanager
async def build(settings: CacheSettings, clock: Callable[[], float] = time.time) -> AsyncIterator[Service]:
    """Compose the cache. The clock gives seconds since the epoch."""
    metrics = Metrics()
    memory = Memory(settings.bytes_max)
    metrics.registry.register(MemoryCollector(memory))
    keys = RoomKeys(load_root_secret(settings.service_dir / "root_secret"))
    cache = AnswerCache(
        memory,
        [],
        Lookups(metrics),
        answer_bytes_max=settings.answer_bytes_max,
        ttl_seconds_max=settings.ttl_seconds_max,
    )
    servicer = CacheServicer(cache, keys, clock)
    async with sweeping(memory, clock, settings.sweep_interval_seconds):
        yield Service(settings, [(add_CacheServiceServicer_to_server, servicer)], metrics)
