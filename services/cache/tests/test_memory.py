"""The L1 tier against a naive model, under every order of operations that Hypothesis thinks of."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from penstock_cache.entry import OVERHEAD_BYTES, Answer, Entry
from penstock_cache.memory import Eviction, Memory
from penstock_cache.shard import EXPIRY_SLOT_SECONDS, LABELS_MAX

BYTES_MAX = 8 * (OVERHEAD_BYTES + 100)

organizations = st.sampled_from(["acme", "beta", "coal"])
keys = st.sampled_from([bytes([number]) * 32 for number in range(12)])
labels = st.sets(st.sampled_from([("user", "u"), ("user", "v"), ("tag", "t"), ("model", "m")]))
bodies = st.sampled_from([b"a", b"b" * 100, b"c" * 900])


class MemoryAgainstModel(RuleBasedStateMachine):
    """The model is a list of entries for each organization."""

    def __init__(self):
        super().__init__()
        self.memory = Memory(BYTES_MAX)
        self.model = {}
        self.now = 1_000_000.0

    @rule(organization=organizations, key=keys, age=st.sampled_from([0.0, 5.0, 100.0]))
    def get(self, organization, key, age):
        kept = self.model.get(organization, [])
        expected = next((entry for entry in kept if entry.key == key), None)
        if expected and (expected.expires_at <= self.now or self.now - expected.stored_at > age):
            expected = None
        assert self.memory.get(organization, key, self.now, age) == expected

    @rule(
        organization=organizations,
        key=keys,
        body=bodies,
        labels=labels,
        ttl=st.sampled_from([1.0, 30.0, 500.0]),
    )
    def put(self, organization, key, body, labels, ttl):
        entry = Entry(key, Answer(body, 1, 1), frozenset(labels), self.now, self.now + ttl)
        kept = self.model.setdefault(organization, [])
        known = next((each for each in kept if each.key == key), None)
        if known:
            kept.remove(known)
        if known and known.answer == entry.answer and known.expires_at > self.now:
            entry = replace(known, labels=known.labels | entry.labels)
        kept.append(entry)
        in_memory = self.memory.put(organization, entry)
        self._evict_as_allowed()
        assert in_memory == (entry in self.model.get(organization, []))

    def _evict_as_allowed(self):
        """Check that what went was of who had more than its share, and follow."""
        share = BYTES_MAX / len([kept for kept in self.model.values() if kept])
        for organization, kept in self.model.items():
            left = self._in_memory(organization)
            gone = [entry for entry in kept if entry not in left]
            assert all(entry in kept for entry in left)
            if gone:
                assert size(left) + max(entry.size_bytes for entry in gone) > share
            self.model[organization] = left

    @rule(organization=organizations, label=st.sampled_from([("user", "u"), ("tag", "t"), ("tag", "none")]))
    def forget(self, organization, label):
        kept = self.model.get(organization, [])
        left = [entry for entry in kept if label not in entry.labels]
        assert self.memory.forget(organization, label) == len(kept) - len(left)
        self.model[organization] = left

    @rule(organization=organizations, key=keys)
    def discard(self, organization, key):
        kept = self.model.get(organization, [])
        left = [entry for entry in kept if entry.key != key]
        assert self.memory.forget(organization, ("entry_id", key.hex())) == len(kept) - len(left)
        self.model[organization] = left

    @rule(organization=organizations)
    def forget_all(self, organization):
        assert self.memory.forget(organization, ("everything", "")) == len(self.model.pop(organization, []))

    @rule(seconds=st.sampled_from([0.5, 7.0, 60.0, 1000.0, -50.0]))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def expire(self):
        for _ in range(100):
            if self.memory.expire(self.now, entries_max=1) == 0:
                break
        for organization, kept in self.model.items():
            left = self._in_memory(organization)
            assert all(entry.expires_at <= self.now for entry in kept if entry not in left)
            assert all(entry.expires_at > self.now - EXPIRY_SLOT_SECONDS for entry in left)
            self.model[organization] = left

    @invariant()
    def holds_what_the_model_holds(self):
        held = {name: kept for name, kept in self.model.items() if kept}
        in_memory = {name: set(self._in_memory(name)) for name in self.memory._shards}
        assert in_memory == {name: set(kept) for name, kept in held.items()}
        assert len(self.memory) == sum(map(len, held.values()))

    @invariant()
    def counts_its_bytes_and_keeps_the_bound(self):
        assert self.memory.size_bytes == sum(map(size, self.model.values())) <= BYTES_MAX

    @invariant()
    def indexes_nothing_that_is_gone(self):
        for shard in self.memory._shards.values():
            indexed = [keys for index in (shard._labels, shard._expiry) for keys in index._keys.values()]
            assert set().union(*indexed) == set(shard._entries)
            assert all(indexed)

    def _in_memory(self, organization):
        shard = self.memory._shards.get(organization)
        return list(shard._entries.values()) if shard else []


def size(entries):
    return sum(entry.size_bytes for entry in entries)


MemoryAgainstModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMemoryAgainstModel = MemoryAgainstModel.TestCase


def entry(number, body=b"answer", labels=(), ttl=60.0):
    return Entry(number.to_bytes(32, "big"), Answer(body, 1, 1), frozenset(labels), 0.0, ttl)


def test_a_flood_of_one_organization_leaves_the_others_within_their_share_alone():
    memory = Memory(100 * entry(0).size_bytes)
    for number in range(40):
        memory.put("quiet", entry(number))
    for number in range(10_000):
        memory.put("loud", entry(number))
    assert all(memory.get("quiet", entry(number).key, now=1.0) for number in range(40))
    assert memory.evictions[Eviction.CAPACITY] > 9_000


def test_an_answer_that_too_many_lay_claim_to_is_let_go():
    memory = Memory(1_000_000)
    for number in range(LABELS_MAX):
        assert memory.put("acme", entry(1, labels=[("user", f"u{number}")]))
    assert not memory.put("acme", entry(1, labels=[("user", "one too many")]))
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_an_entry_larger_than_the_bound_is_not_kept():
    memory = Memory(10_000)
    assert not memory.put("acme", entry(1, body=b"x" * 20_000))
    assert (len(memory), memory.size_bytes) == (0, 0)
