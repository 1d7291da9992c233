"""What the cache predicts is answered ahead within a budget, through the whole router, or not at all."""

import pytest
from penstock_router.foresight import AHEAD, HOUR_SECONDS, PRIORITY, Purse
from router_world import World, ask
from testkit.waiting import until

BUDGETED = pytest.mark.parametrize("world", [{"ahead_nanos_per_hour": 1_000_000}], indirect=True)


@BUDGETED
async def test_what_is_predicted_is_answered_ahead_charged_and_kept(world: World) -> None:
    world.cache.predicted = ["What is the capital of Spain?"]
    await ask(world)
    await until(lambda: len(world.cache.kept) == 2 and len(world.billing.settled) == 2)
    asked, ahead = sorted(world.cache.kept, key=lambda item: item.ahead)
    assert (asked.ahead, ahead.ahead) == (False, True)
    assert asked.partition == ahead.partition
    labels = [dict(item.metadata) for item in world.billing.settled.values()]
    assert sorted(AHEAD in each for each in labels) == [False, True]
    assert sorted(request.context.priority for request in world.inference.prompts) == [0, PRIORITY]
    generated = len(world.billing.authorized)
    said = await ask(world, text="What is the capital of Spain?")
    assert said.receipt.cost_nanos == 0
    assert len(world.billing.authorized) == generated


@BUDGETED
async def test_nothing_is_predicted_after_what_nobody_asked(world: World) -> None:
    world.cache.predicted = ["What is the capital of Spain?"]
    await ask(world)
    await until(lambda: len(world.cache.kept) == 2)
    assert [item.predictions_max for item in world.cache.looked_up if item.ahead] == [0]


@BUDGETED
async def test_a_question_is_not_matched_by_meaning_only_to_be_predicted_from(world: World) -> None:
    await ask(world)
    [item] = world.cache.looked_up
    assert item.exact_only
    assert item.query_text


async def test_without_a_budget_nothing_is_predicted(world: World) -> None:
    world.cache.predicted = ["What is the capital of Spain?"]
    await ask(world)
    await world.cache.stored.wait()
    [item] = world.cache.looked_up
    assert (item.predictions_max, item.query_text) == (0, "")


def test_a_purse_is_empty_until_the_next_hour() -> None:
    purse = Purse(100)
    assert purse.has_left("acme", 0.0)
    purse.spend("acme", 100)
    assert not purse.has_left("acme", HOUR_SECONDS - 1)
    assert purse.has_left("beta", HOUR_SECONDS - 1)
    assert purse.has_left("acme", HOUR_SECONDS)
