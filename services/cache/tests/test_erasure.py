"""What is forgotten is gone from memory, not only from sight."""

import asyncio
from collections import OrderedDict

import pytest
from penstock_cache.entry import Answer, Entry
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Eviction, Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.question import Answered, Question, Tier
from penstock_cache.shard import EXPIRY_SLOT_SECONDS
from penstock_cache.sweeper import sweep, sweeping
from penstock_cache.tally import Tallies
from servicekit.metrics import Metrics
from testkit.waiting import until


def walk(thing, seen):
    """Give every value that can be reached from an object."""
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    yield thing
    if isinstance(thing, (str, bytes, int, float, type)) or thing is None:
        return
    if isinstance(thing, (dict, OrderedDict)):
        children = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set, frozenset)):
        children = list(thing)
    else:
        slots = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
        children = [getattr(thing, name) for name in slots if hasattr(thing, name)]
        children += getattr(thing, "__dict__", {}).values()
    for child in children:
        yield from walk(child, seen)


def reachable(memory):
    return [value for value in walk(memory, {}) if isinstance(value, (str, bytes))]


def mentions(memory, text):
    return any(
        text in (value if isinstance(value, str) else value.decode("latin-1")) for value in reachable(memory)
    )


def answered(user, number, organization="acme", scope=SharingScope.ORGANIZATION, scope_id=""):
    partition = Partition(organization, scope, scope_id, "chat", "m", b"1" * 32, b"2" * 32, "", "", "")
    room = RoomKeys(b"r" * 32).room(partition)
    question = Question(organization, user, 1e12, room, room.key(bytes([number]) * 32))
    return Answered(question, Answer(f"dear {user or scope_id}".encode(), 1, 1), 100.0, (f"tag of {user}",))


@pytest.fixture
def memory():
    return Memory(10_000_000)


@pytest.fixture
def cache(memory):
    return AnswerCache(memory, [], Lookups(Metrics()), Tallies(), answer_bytes_max=1000, ttl_seconds_max=3600)


async def test_after_a_user_is_forgotten_nothing_of_them_is_left(cache, memory):
    await cache.keep([answered("alice", 1), answered("bob", 2), answered("alice", 3)], now=0.0)
    await cache.keep([answered("", 4, scope=SharingScope.USER, scope_id="alice")], now=0.0)
    assert mentions(memory, "alice")
    assert await cache.forget("acme", ("user", "alice")) == {Tier.L1: 3}
    assert not mentions(memory, "alice")
    assert mentions(memory, "dear bob")


async def test_an_answer_that_two_users_asked_for_goes_with_either(cache, memory):
    for user in ("alice", "bob"):
        one = answered(user, 1)
        await cache.keep([Answered(one.question, Answer(b"the same", 1, 1), 100.0, ())], now=0.0)
    assert await cache.forget("acme", ("user", "alice")) == {Tier.L1: 1}
    assert not mentions(memory, "bob")
    assert not mentions(memory, "the same")


async def test_after_an_organization_is_forgotten_not_even_its_name_is_left(cache, memory):
    await cache.keep([answered("alice", 1), answered("bob", 1, organization="beta")], now=0.0)
    await cache.forget("acme", ("everything", ""))
    assert not mentions(memory, "acme")
    assert mentions(memory, "dear bob")


class Holding:
    """A tier of this process that holds one entry."""

    tier = Tier.L3

    def __init__(self):
        self.entries = 1

    async def forget(self, _organization, _selector):
        count, self.entries = self.entries, 0
        return count


class Announcing:
    """A shared tier whose announcement comes back to who made it at once."""

    tier = Tier.L2

    def __init__(self):
        self.hear = None

    async def forget(self, organization, selector):
        await self.hear(organization, selector)
        return 2


async def test_what_a_replica_hears_itself_announce_is_forgotten_only_after_it_was_counted(memory):
    announcing = Announcing()
    cache = AnswerCache(
        memory,
        [announcing, Holding()],
        Lookups(Metrics()),
        Tallies(),
        answer_bytes_max=1000,
        ttl_seconds_max=3600,
    )
    announcing.hear = cache.forget_here
    assert await cache.forget("acme", ("user", "u")) == {Tier.L1: 0, Tier.L2: 2, Tier.L3: 1}


async def test_what_is_past_its_time_is_swept_out_of_memory(memory):
    for number in range(600):
        key = number.to_bytes(32, "big")
        memory.put("acme", Entry(key, Answer(b"old", 1, 1), frozenset({("user", "u")}), 0.0, 50.0))
    memory.put("acme", Entry(b"k" * 32, Answer(b"young", 1, 1), frozenset(), 0.0, 500.0))
    await sweep(memory, lambda: 50.0 + EXPIRY_SLOT_SECONDS)
    assert (len(memory), memory.evictions[Eviction.EXPIRED]) == (1, 600)
    assert not mentions(memory, "old")
    assert mentions(memory, "young")


async def test_sweeping_goes_on_by_itself(memory):
    memory.put("acme", Entry(b"k" * 32, Answer(b"old", 1, 1), frozenset(), 0.0, 50.0))
    async with sweeping(memory, lambda: 100.0, interval_seconds=0.001):
        await until(lambda: not len(memory))


async def test_a_failing_sweep_ends_the_service_rather_than_go_unseen(memory):
    def broken_clock():
        raise RuntimeError("no time")

    with pytest.raises(ExceptionGroup, match="unhandled"):
        async with sweeping(memory, broken_clock, interval_seconds=0.001):
            await asyncio.sleep(60)
