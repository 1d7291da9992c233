"""What the router asks of the cache and tells it, and what callers learn of it."""

import asyncio
from typing import Any

from penstock.cache.v1 import cache_entry_pb2, cache_service_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, receipt_pb2
from router_world import World, ask
from testkit.waiting import SECONDS_MAX, until

Control = chat_completion_pb2.CacheControl
SEMANTIC = Control(semantic=True)


def near(text: str) -> Any:
    """Make what the cache finds by meaning."""
    said = chat_completion_pb2.ChatCompletion()
    message = said.choices.add().message
    message.role, message.text = chat_message_pb2.CHAT_ROLE_ASSISTANT, text
    return cache_service_pb2.CacheHit(
        answer=cache_entry_pb2.CachedAnswer(body=said.SerializeToString(), cost_nanos=9),
        tier=cache_entry_pb2.CACHE_TIER_L3,
        similarity=0.97,
        entry_id="entry-1",
    )


async def test_questions_are_matched_by_meaning_only_when_that_is_asked_for(world: World) -> None:
    await ask(world)
    await ask(world, text="And of Italy?", cache_control=SEMANTIC)
    assert [item.query_text for item in world.cache.looked_up] == ["", "And of Italy?"]


async def test_an_answer_by_meaning_says_so_and_how_near_it_was(world: World) -> None:
    world.cache.by_meaning = near("Paris.")
    completion = await ask(world, cache_control=SEMANTIC)
    receipt = completion.receipt
    assert completion.choices[0].message.text == "Paris."
    assert receipt.cache == receipt_pb2.CACHE_STATUS_SEMANTIC_HIT
    assert receipt.cache_tier == cache_entry_pb2.CACHE_TIER_L3
    assert (receipt.cache_similarity, receipt.cache_entry_id, receipt.avoided_cost_nanos) == (
        0.97,
        "entry-1",
        9,
    )


async def test_what_is_held_back_is_compared_with_what_the_model_says(world: World) -> None:
    world.cache.by_meaning, world.cache.shadow = near("Paris."), True
    completion = await ask(world, cache_control=SEMANTIC)
    assert completion.receipt.cache == receipt_pb2.CACHE_STATUS_MISS
    await until(lambda: world.cache.compared)
    (told,) = world.cache.compared
    assert told.entry_id == "entry-1"
    assert told.comparison.kept_text == "Paris."
    assert told.comparison.generated_text == completion.choices[0].message.text


async def test_an_answer_is_kept_as_long_and_under_the_labels_that_its_caller_says(world: World) -> None:
    await ask(world, cache_control=Control(ttl_seconds=60, tags=["manual-7"]))
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    (kept,) = world.cache.kept
    assert (kept.ttl.seconds, list(kept.tags)) == (60, ["manual-7"])


async def test_an_answer_is_shared_in_the_room_that_its_caller_names(world: World) -> None:
    rooms = [
        Control(prompt_version="v2", locale="de-AT"),
        Control(scope=chat_completion_pb2.CACHE_SCOPE_USER),
        Control(scope=chat_completion_pb2.CACHE_SCOPE_TEAM),  # the key has none
        Control(scope=chat_completion_pb2.CACHE_SCOPE_ORGANIZATION),
    ]
    for room in rooms:
        await ask(world, cache_control=room)
    told, users, teams, organizations = (item.partition for item in world.cache.looked_up)
    assert (told.prompt_version, told.locale) == ("v2", "de-AT")
    assert users.scope == teams.scope == cache_entry_pb2.SHARING_SCOPE_USER
    assert users.scope_id == teams.scope_id != ""
    assert (organizations.scope, organizations.scope_id) == (cache_entry_pb2.SHARING_SCOPE_ORGANIZATION, "")


async def test_an_answer_in_which_only_harmless_things_were_found_is_kept_with_its_log_probabilities(
    world: World,
) -> None:
    world.inference.words = ["It", " is", " Rome."]
    await ask(world)
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    (kept,) = world.cache.kept
    assert b"Rome" in kept.answer.body
