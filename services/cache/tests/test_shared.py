"""Two replicas and a real Redis: answers are shared, what is forgotten is forgotten by both; Redis may fail at will."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from penstock_cache.entry import Answer, Entry
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.question import Answered, Hit, Question, Tier
from penstock_cache.shared.announcements import Announcements
from penstock_cache.shared.connection import connect_redis
from penstock_cache.shared.record import carries, label_digest, seal, unseal
from penstock_cache.shared.tier import SharedTier
from penstock_cache.tally import Tallies
from redis.asyncio import Redis
from servicekit.background import background
from servicekit.errors import Unavailable
from servicekit.metrics import Metrics
from testkit.proxy import FaultProxy
from testkit.redis import RedisServer
from testkit.waiting import SECONDS_MAX, until

KEYS = RoomKeys(b"r" * 32)
NOW = time.time()
SHORT_SECONDS = 0.3
ANSWER = Answer(b"Paris", 1, 1)


def question(number=1, organization="acme", user="u"):
    partition = Partition(
        organization, SharingScope.ORGANIZATION, "", "chat", "m", b"1" * 32, b"2" * 32, "", "", ""
    )
    room = KEYS.room(partition)
    return Question(organization, user, 1e12, room, room.key(bytes([number]) * 32))


def answered(number=1, body=b"Paris", organization="acme", user="u", tags=()):
    return Answered(question(number, organization, user), Answer(body, 70, 900), 100.0, tuple(tags))


class Replica:
    def __init__(self, memory, cache, announcements, metrics):
        self.memory, self.cache, self.announcements, self.metrics = memory, cache, announcements, metrics

    async def ask(self, *asked):
        return await self.cache.look_up(asked or [question()], NOW)

    async def tier_of(self, asked=None):
        [found] = await self.ask(asked or question())
        return found.tier if isinstance(found, Hit) else None


@asynccontextmanager
async def replica(url, seconds_max=SECONDS_MAX):
    metrics, memory = Metrics(), Memory(1_000_000)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect_redis(url, metrics))
        announcements = Announcements(redis)
        shared = SharedTier(redis, KEYS, seconds_max, announcements.announce)
        cache = AnswerCache(
            memory, [shared], Lookups(metrics), Tallies(), answer_bytes_max=1_000_000, ttl_seconds_max=3600
        )
        await stack.enter_async_context(
            background(announcements.follow(cache.forget_here, memory.forget_all), "announcements")
        )
        yield Replica(memory, cache, announcements, metrics)


@pytest_asyncio.fixture
async def replicas(redis_server):
    async with replica(redis_server.url) as one, replica(redis_server.url) as other:
        for each in (one, other):
            await until(lambda each=each: heard_from(each))
        yield one, other


async def heard_from(one):
    return one.announcements._run_id != ""


async def test_what_one_replica_keeps_the_other_finds_and_then_remembers(replicas):
    one, other = replicas
    await one.cache.keep([answered()], NOW)
    [found] = await other.ask()
    assert (found.tier, found.entry.answer.body) == (Tier.L2, b"Paris")
    [again] = await other.ask()
    assert again.tier is Tier.L1
    assert again.entry == found.entry == (await one.ask())[0].entry


async def test_a_list_is_one_round_trip_and_large_answers_are_compressed(replicas, redis_server):
    one, other = replicas
    await one.cache.keep([answered(number, b"word " * 10_000) for number in range(1, 50)], NOW)
    before = await stats(redis_server)
    found = await other.ask(*[question(number) for number in range(1, 51)])
    assert [hit is not None for hit in found] == [True] * 49 + [False]
    assert (await stats(redis_server))["cmdstat_mget"]["calls"] == before.get("cmdstat_mget", {"calls": 0})[
        "calls"
    ] + 1
    async with Redis.from_url(redis_server.url) as redis:
        [name, *_] = await redis.keys("penstock:cache:1:*:*")
        assert await redis.strlen(name) < 5_000


async def stats(server):
    async with Redis.from_url(server.url) as redis:
        return await redis.info("commandstats")


@pytest.mark.parametrize(
    "selector",
    [("user", "alice"), ("tag", "t"), ("model", "m"), ("everything", "")],
)
async def test_what_is_forgotten_at_one_replica_is_forgotten_by_redis_and_the_other(
    replicas, redis_server, selector
):
    one, other = replicas
    await one.cache.keep([answered(user="alice", tags=["t"]), answered(organization="beta")], NOW)
    assert await other.tier_of() is Tier.L2
    assert await one.cache.forget("acme", selector) == {Tier.L1: 1, Tier.L2: 1}
    await until(lambda: gone(other))
    assert await other.tier_of() is None
    assert await other.tier_of(question(organization="beta")) is Tier.L2
    async with Redis.from_url(redis_server.url) as redis:
        [name] = await redis.keys("penstock:cache:1:*:*")
        assert KEYS.tenant_name("beta") in name.decode()


async def gone(other):
    return not other.memory.holds("acme", question().key)


async def test_one_entry_is_forgotten_by_its_id(replicas):
    one, other = replicas
    [first, _] = await one.cache.keep([answered(1), answered(2)], NOW)
    await one.cache.forget("acme", ("entry_id", first))
    assert [await other.tier_of(question(number)) for number in (1, 2)] == [None, Tier.L2]


async def test_redis_knows_neither_names_nor_questions_nor_how_to_make_an_answer(replicas, redis_server):
    one, _ = replicas
    await one.cache.keep([answered(user="alice", tags=["secret project"])], NOW)
    async with Redis.from_url(redis_server.url) as redis:
        [name] = await redis.keys("penstock:cache:1:*:*")
        assert b"acme" not in name


async def test_an_answer_expires_in_redis_with_its_time(replicas, redis_server):
    one, _ = replicas
    await one.cache.keep([answered()], NOW)
    async with Redis.from_url(redis_server.url) as redis:
        [name] = await redis.keys("penstock:cache:1:*:*")
        assert 0 < await redis.pttl(name) <= 100_000


async def damage(server, change):
    async with Redis.from_url(server.url) as redis:
        for name in await redis.keys("penstock:cache:1:*:*"):
            await change(redis, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda redis, name: redis.set(name, b""),
        lambda redis, name: redis.set(name, b"no record of ours, of whatever length it may be"),
        lambda redis, name: redis.setrange(name, 60, b"\x00\xff\x00"),
        lambda redis, name: redis.append(name, b"x"),
    ],
    ids=["empty", "foreign", "changed", "longer"],
)
async def test_wrong_data_in_redis_is_a_miss(replicas, redis_server, change):
    one, other = replicas
    await one.cache.keep([answered()], NOW)
    await damage(redis_server, change)
    assert await other.tier_of() is None


async def test_data_of_another_kind_in_redis_is_a_miss(replicas, redis_server):
    one, other = replicas
    await one.cache.keep([answered()], NOW)

    async def to_list(redis, name):
        await redis.delete(name)
        await redis.lpush(name, b"x")

    await damage(redis_server, to_list)
    assert await other.tier_of() is None


async def test_an_answer_put_under_the_key_of_another_question_is_a_miss(replicas, redis_server):
    one, other = replicas
    await one.cache.keep([answered(1, b"yes"), answered(2, b"no")], NOW)
    async with Redis.from_url(redis_server.url) as redis:
        a, b = await redis.keys("penstock:cache:1:*:*")
        await redis.copy(a, b, replace=True)
    tiers = {await other.tier_of(question(1)), await other.tier_of(question(2))}
    assert tiers == {None, Tier.L2}


async def test_a_full_redis_keeps_nothing_and_answers_still(redis_server):
    async with Redis.from_url(redis_server.url) as redis, replica(redis_server.url) as one:
        await one.cache.keep([answered(1)], NOW)
        await redis.config_set("maxmemory", 1)
        try:
            [entry_id] = await one.cache.keep([answered(2)], NOW)
            assert entry_id
            assert await one.tier_of(question(2)) is Tier.L1
        finally:
            await redis.config_set("maxmemory", 0)
        one.memory.forget_all()
        assert [await one.tier_of(question(number)) for number in (1, 2)] == [Tier.L2, None]


async def test_without_redis_it_answers_from_memory():
    async with replica("redis://127.0.0.1:1/0") as one:
        [entry_id] = await one.cache.keep([answered()], NOW)
        assert entry_id
        assert await one.tier_of() is Tier.L1
        assert await one.tier_of(question(2)) is None
        with pytest.raises(Unavailable):
            await one.cache.forget("acme", ("user", "u"))
        assert await one.tier_of() is None


@pytest.mark.parametrize("fault", ["freeze", "latency"])
async def test_a_redis_that_is_frozen_or_slow_is_a_miss_in_its_time_and_then_not_even_asked(
    redis_server, fault
):
    async with (
        FaultProxy(redis_server.port) as proxy,
        replica(f"redis://{proxy.address}/0", SHORT_SECONDS) as one,
    ):
        await until(lambda: kept_again(one))
        one.memory.forget_all()
        if fault == "freeze":
            proxy.freeze()
        else:
            proxy.faults.latency_seconds = 3.0
        value = one.metrics.registry.get_sample_value

        async def is_not_asked():
            assert await one.tier_of() is None
            return value("penstock_cache_redis_failures_total", {"reason": "breaker"})

        await until(is_not_asked)
        assert value("penstock_cache_redis_failures_total", {"reason": "timeout"}) >= 1
        proxy.faults.latency_seconds = 0.0
        proxy.thaw()
        await until(lambda: is_found(one))


async def is_found(one, tier=Tier.L2):
    one.memory.forget_all()
    return await one.tier_of() is tier


async def test_a_broken_connection_is_a_miss_and_is_made_anew(redis_server):
    async with FaultProxy(redis_server.port) as proxy, replica(f"redis://{proxy.address}/0") as one:
        await one.cache.keep([answered()], NOW)
        for _ in range(3):
            proxy.reset()
            await until(lambda: is_found(one))


async def test_a_killed_redis_is_a_miss_and_a_restarted_one_serves_again_and_costs_memory_its_certainty(
    tmp_path,
):
    with RedisServer(tmp_path) as server:
        async with replica(server.url) as one:
            await until(lambda: heard_from(one))
            await one.cache.keep([answered()], NOW)
            server.process.kill()
            assert await one.tier_of() is Tier.L1
            assert await one.tier_of(question(2)) is None
            server.start()
            # What was announced before the restart is not known, so nothing that was kept is served.
            await until(lambda: gone(one))
            await until(lambda: kept_again(one))


async def kept_again(one):
    await one.cache.keep([answered()], NOW)
    return await is_found(one)


async def test_what_was_announced_while_a_replica_was_cut_off_is_forgotten_when_it_is_back(redis_server):
    async with (
        FaultProxy(redis_server.port) as proxy,
        replica(redis_server.url) as one,
        replica(f"redis://{proxy.address}/0") as other,
    ):
        await until(lambda: heard_from(other))
        await one.cache.keep([answered()], NOW)
        assert await other.tier_of() is Tier.L2
        proxy.faults.refusing = True
        proxy.reset()
        await one.cache.forget("acme", ("user", "u"))
        assert other.memory.holds("acme", question().key)
        proxy.faults.refusing = False
        await until(lambda: gone(other))


labels = st.sets(st.tuples(st.sampled_from(["user", "tag", "model"]), st.text(max_size=5)), max_size=64)


@given(st.binary(max_size=3000), labels, st.integers(0, 2**60), st.integers(0, 2**32 - 1))
def test_an_entry_comes_back_as_it_was_and_only_with_its_key_and_secret(body, marks, cost, took):
    entry = Entry(b"k" * 32, Answer(body, cost, took), frozenset(marks), 12.5, 99.25)
    record = seal(entry, b"s" * 32, b"t" * 32)
    assert unseal(record, entry.key, b"s" * 32) == entry
    assert unseal(record, b"l" * 32, b"s" * 32) is None
    assert unseal(record, entry.key, b"x" * 32) is None
    assert all(carries(record, label_digest(b"t" * 32, label)) for label in marks)
    assert not carries(record, label_digest(b"t" * 32, ("user", "somebody else")))


@given(st.binary(max_size=200))
def test_bytes_of_others_are_no_record(record):
    assert unseal(record, b"k" * 32, b"s" * 32) is None


class SlowTier:
    """A tier that finds an answer, after a while."""

    tier = Tier.L2

    def __init__(self):
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def find(self, questions, now):
        self.asked.set()
        await self.answer.wait()
        return [
            Hit(Entry(each.key, Answer(b"Paris", 1, 1), frozenset(), now, now + 9), Tier.L2, 1.0)
            for each in questions
        ]


async def test_an_answer_that_is_forgotten_while_redis_is_asked_for_it_does_not_come_back():
    memory, slow = Memory(1_000_000), SlowTier()
    cache = AnswerCache(
        memory, [slow], Lookups(Metrics()), Tallies(), answer_bytes_max=1000, ttl_seconds_max=3600
    )
    asking = asyncio.create_task(cache.look_up([question()], NOW))
    await slow.asked.wait()
    await cache.forget_here("acme", ("user", "u"))
    slow.answer.set()
    assert await asking == [None]
    assert len(memory) == 0


def test_replacing_a_part_of_an_entry_changes_its_record():
    entry = Entry(b"k" * 32, Answer(b"x", 1, 1), frozenset(), 1.0, 2.0)
    records = {seal(each, b"s" * 32, b"t" * 32) for each in (entry, replace(entry, expires_at=3.0))}
    assert len(records) == 2
