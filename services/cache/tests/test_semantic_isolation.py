"""No tenant's answers by meaning depend on what another does, however near their questions are."""

import asyncio
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_cache.entry import Answer
from penstock_cache.feedback import Judged, Learner, Verdict
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.question import Answered, Hit, Question
from penstock_cache.recall import ExactTiers
from penstock_cache.semantic.tier import SemanticLimits, SemanticTier
from penstock_cache.tally import Tallies
from servicekit.metrics import Metrics

MIB = 1024 * 1024
KEYS = RoomKeys(b"r" * 32)
# Two ways to ask each of three things.
TEXTS = [
    "How do I reset my password?",
    "How can I reset my password?",
    "Where do I find the invoice of my order?",
    "Where can I find the invoice of my order?",
    "Why was my card declined in the shop?",
    "Please tell me why my card was declined in the shop",
]


class EncoderAtHand:
    """Gives near vectors to texts that ask the same."""

    fingerprint = "1"

    def __init__(self):
        rng = np.random.default_rng(0)
        centres = np.repeat(rng.normal(size=(3, 384)), 2, axis=0)
        rows = centres + 0.05 * rng.normal(size=centres.shape)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.vectors = dict(zip(TEXTS, rows.astype(np.float32), strict=True))

    async def embed(self, texts, _seconds_max):
        await asyncio.sleep(0)
        return [self.vectors[text] for _, text in texts]


class Tenants:
    """The cache, with tiers for exact answers and answers by meaning."""

    def __init__(self, semantic_bytes_max=64 * MIB):
        memory, encoder = Memory(64 * MIB), EncoderAtHand()
        limits = SemanticLimits(semantic_bytes_max, 1.0, 0.02, shadow_share=0.0)
        self.semantic = semantic = SemanticTier(encoder, ExactTiers(memory, []).recall, limits, Random(0))
        self.cache = AnswerCache(
            memory, [semantic], Lookups(Metrics()), Tallies(), answer_bytes_max=10_000, ttl_seconds_max=3600
        )
        self.learner = Learner(semantic, encoder)

    async def act(self, organization, action, now):
        """Do one thing for an organization and give everything it can see of the outcome."""
        what, text, user = action
        partition = Partition(
            organization, SharingScope.ORGANIZATION, "", "chat", "m", b"1" * 32, b"2" * 32, "", "", ""
        )
        room = KEYS.room(partition)
        key = room.key(TEXTS[text].encode()[-32:].ljust(32))
        question = Question(organization, user, now + 1, room, key, query_text=TEXTS[text])
        if what == "look_up":
            return await self.cache.look_up([question], now)
        if what == "keep":
            answer = Answer(f"{organization} {text} {user}".encode(), 1, 1)
            return await self.cache.keep([Answered(question, answer, 100.0, ())], now)
        if what == "say_wrong":
            learnt = await self.learner.learn([Judged(organization, key.hex(), Verdict.WRONG)])
            return [getattr(one, "reason", one) for one in learnt]
        if what == "forget_user":
            return await self.cache.forget(organization, ("user", user))
        return await self.cache.forget(organization, ("everything", ""))


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["look_up", "look_up", "look_up", "keep", "keep", "say_wrong", "forget_user", "forget_all"]
        ),
        st.integers(0, len(TEXTS) - 1),
        st.sampled_from(["u", "v"]),
    ),
    max_size=30,
)


def seen_by_acme(tenants, traffic):
    async def act_in_turn():
        return [(whose, await tenants.act(whose, action, now)) for now, whose, action in traffic]

    return [result for whose, result in asyncio.run(act_in_turn()) if whose == "acme"]


def interleave(ours, theirs, random):
    order = ["acme"] * len(ours) + ["beta"] * len(theirs)
    random.shuffle(order)
    wanted = {"acme": iter(ours), "beta": iter(theirs)}
    return [(float(now), whose, next(wanted[whose])) for now, whose in enumerate(order)]


@settings(max_examples=100, deadline=None)
@given(ours=actions, theirs=actions, random=st.randoms(use_true_random=False))
def test_what_one_tenant_does_never_changes_what_another_sees(ours, theirs, random):
    traffic = interleave(ours, theirs, random)
    alone = [step for step in traffic if step[1] == "acme"]
    assert seen_by_acme(Tenants(), traffic) == seen_by_acme(Tenants(), alone)


@settings(max_examples=50, deadline=None)
@given(ours=actions, theirs=actions, random=st.randoms(use_true_random=False))
def test_under_pressure_a_tenant_still_sees_only_answers_of_its_own(ours, theirs, random):
    for result in seen_by_acme(Tenants(semantic_bytes_max=9000), interleave(ours, theirs, random)):
        for found in result if isinstance(result, list) else []:
            if isinstance(found, Hit):
                assert found.entry.answer.body.startswith(b"acme ")


def test_the_traffic_has_answers_by_meaning_to_leak():
    seen = seen_by_acme(Tenants(), [(0.0, "acme", ("keep", 0, "u")), (1.0, "acme", ("look_up", 1, "u"))])
    [[hit]] = seen[1:]
    assert hit.tier.name == "L3"


def test_vectors_of_another_encoder_are_never_compared():
    tenants = Tenants()
    encoder = tenants.learner._embedder
    seen_by_acme(tenants, [(0.0, "acme", ("keep", 0, "u"))])
    encoder.vectors = {text: vector[:128] for text, vector in encoder.vectors.items()}
    assert seen_by_acme(tenants, [(1.0, "acme", ("look_up", 1, "u"))]) == [[None]]
    encoder.fingerprint = "2"
    seen_by_acme(tenants, [(2.0, "acme", ("keep", 2, "u"))])
    assert len(tenants.semantic) == 1
