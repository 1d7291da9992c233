"""Holds whose router died: given to one claimer each, settled from what the journal says, or expired."""

import asyncio
from typing import Any

from testkit.clock import Clock

GRACE = {"sweep_interval_seconds": 1, "reconcile_seconds": 30}


async def test_a_lapsed_hold_is_given_out_with_all_that_it_takes_to_settle_it(
    start: Any, clock: Clock
) -> None:
    async with start(**GRACE) as (billing, _server):
        who = {"user": "ann", "team": "red", "api_key": "k"}
        await billing.authorize(
            "op", skus=("test/dear", "test/model"), model="big", holder="router-1", lease_seconds=5, **who
        )
        assert len(await billing.claim_lapsed()) == 0
        clock.advance(seconds=5)
        (hold,) = await billing.claim_lapsed()
        assert (hold.operation_id, hold.model, hold.holder) == ("op", "big", "router-1")
        assert list(hold.skus) == ["test/dear", "test/model"]
        assert (hold.context.organization, hold.context.user, hold.context.team) == ("acme", "ann", "red")
        assert hold.context.api_key == "k"
        assert hold.expire_time.seconds - hold.lapse_time.seconds == 30
        settled = await billing.settle("op", output=1, **who)
        assert (settled.cost_nanos, settled.late) == (2_000, False)
        clock.advance(seconds=60)
        assert len(await billing.claim_lapsed()) == 0


async def test_a_hold_is_claimed_by_one_at_a_time_and_again_when_its_claimer_died(
    billing: Any, clock: Clock
) -> None:
    for number in range(6):
        await billing.authorize(f"op{number}", lease_seconds=1 + number % 2)
    clock.advance(seconds=2)
    first = [hold.operation_id for hold in await billing.claim_lapsed(4)]
    second = [hold.operation_id for hold in await billing.claim_lapsed(4)]
    assert (len(first), len(second)) == (4, 2)
    assert set(first) >= {"op0", "op2", "op4"}  # the longest lapsed come first
    assert not set(first) & set(second)
    clock.advance(seconds=10)
    assert len(await billing.claim_lapsed()) == 6


async def test_claimers_at_several_replicas_never_get_the_same_hold(
    start: Any, postgres_url: str, clock: Clock, tools: Any
) -> None:
    replica = {"database_url": postgres_url, "reconcile_seconds": 30}
    async with start(**replica) as (one, _), start(**replica) as (two, _):
        await one.authorize_all([tools.authorize_item(f"op{n}", lease_seconds=1) for n in range(60)])
        clock.advance(seconds=1)
        claims = await asyncio.gather(*((one, two)[turn % 2].claim_lapsed(9) for turn in range(8)))
        claims.append(await one.claim_lapsed(60))
        names = [hold.operation_id for claim in claims for hold in claim]
        assert sorted(names) == sorted({f"op{number}" for number in range(60)})


async def test_a_hold_that_nobody_reconciles_expires_after_its_grace_and_not_before(
    start: Any, clock: Clock, tools: Any
) -> None:
    async with start(**GRACE) as (billing, _server):
        await billing.create_budget(10**6)
        await billing.authorize("op", max_tokens=1, lease_seconds=5)
        await billing.authorize("marker", max_tokens=2, lease_seconds=1)
        clock.advance(seconds=34)
        await tools.until(lambda: _holds(billing, 2_000))  # the sweep that took the marker left this one
        clock.advance(seconds=1)
        await tools.until(lambda: _holds(billing, 0))
        late = await billing.settle("op", output=1)
        assert (late.cost_nanos, late.late) == (2_000, True)


async def test_a_lapsed_hold_can_still_be_extended_by_who_runs_it(billing: Any, clock: Clock) -> None:
    await billing.authorize("op", lease_seconds=5)
    clock.advance(seconds=6)
    await billing.extend("op", expire_time=clock.advance(seconds=60))
    assert len(await billing.claim_lapsed()) == 1
    clock.advance(seconds=-30)
    assert len(await billing.claim_lapsed()) == 0


async def _holds(billing: Any, nanos: int) -> bool:
    return bool((await billing.budget()).held_nanos == nanos)
