"""No tenant ever sees what another does: the same traffic gives the same answers, whoever else is there."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_cache.entry import Answer
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.question import Answered, Hit, Question
from penstock_cache.tally import Tallies
from servicekit.metrics import Metrics

AMPLE = 100_000_000
KEYS = RoomKeys(b"r" * 32)

actions = st.lists(
    st.tuples(
        st.sampled_from(["look_up", "look_up", "keep", "keep", "forget_user", "forget_all"]),
        st.integers(0, 5),  # which conversation
        st.sampled_from(["u", "v"]),
        st.sampled_from(["m1", "m2"]),
    ),
    max_size=40,
)


def new_cache(bytes_max):
    return AnswerCache(
        Memory(bytes_max), [], Lookups(Metrics()), Tallies(), answer_bytes_max=10_000, ttl_seconds_max=3600
    )


async def act(cache, organization, action, now):
    """Do one thing for an organization and give everything it can see of the outcome."""
    what, conversation, user, model = action
    partition = Partition(
        organization, SharingScope.ORGANIZATION, "", "chat", model, b"1" * 32, b"2" * 32, "", "", ""
    )
    room = KEYS.room(partition)
    question = Question(organization, user, now + 1, room, room.key(bytes([conversation]) * 32))
    if what == "look_up":
        return await cache.look_up([question], now)
    if what == "keep":
        # Answers name their owner, so that a leak shows.
        answer = Answer(f"{organization} {conversation} {user}".encode() * 20, 1, 1)
        return await cache.keep([Answered(question, answer, 100.0, ("t",))], now)
    if what == "forget_user":
        return await cache.forget(organization, ("user", user))
    return await cache.forget(organization, ("everything", ""))


def run(cache, traffic):
    """Do what each organization wants, in order, a second apart; give what "acme" saw."""

    async def act_in_turn():
        return [
            (organization, await act(cache, organization, action, now))
            for now, organization, action in traffic
        ]

    return [result for organization, result in asyncio.run(act_in_turn()) if organization == "acme"]


@settings(max_examples=300, deadline=None)
@given(ours=actions, theirs=actions, random=st.randoms(use_true_random=False))
def test_what_one_tenant_does_never_changes_what_another_sees(ours, theirs, random):
    traffic = interleave(ours, theirs, random)
    alone = [step for step in traffic if step[1] == "acme"]
    assert run(new_cache(AMPLE), traffic) == run(new_cache(AMPLE), alone)


@settings(max_examples=100, deadline=None)
@given(ours=actions, theirs=actions, random=st.randoms(use_true_random=False))
def test_under_pressure_a_tenant_still_sees_only_answers_of_its_own(ours, theirs, random):
    tight = 6_000
    for result in run(new_cache(tight), interleave(ours, theirs, random)):
        for found in result if isinstance(result, list) else []:
            if isinstance(found, Hit):
                assert found.entry.answer.body.startswith(b"acme ")


def interleave(ours, theirs, random):
    order = ["acme"] * len(ours) + ["beta"] * len(theirs)
    random.shuffle(order)
    wanted = {"acme": iter(ours), "beta": iter(theirs)}
    return [(float(now), organization, next(wanted[organization])) for now, organization in enumerate(order)]
