"""Limits, through a real server: decided with the money, named when refused, given back when not used."""

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import limit_pb2, limit_service_pb2
from penstock_billing.settings import BillingSettings
from testkit.clock import Clock

REQUESTS = {"unit": limit_pb2.LIMIT_UNIT_REQUESTS}
TOKENS = {"unit": limit_pb2.LIMIT_UNIT_TOKENS}
IN_FLIGHT = {"unit": limit_pb2.LIMIT_UNIT_IN_FLIGHT}
SECOND = {"window": limit_pb2.LIMIT_WINDOW_SECOND}
MINUTE = {"window": limit_pb2.LIMIT_WINDOW_MINUTE}
HOUR = {"window": limit_pb2.LIMIT_WINDOW_HOUR}
DAY = {"window": limit_pb2.LIMIT_WINDOW_DAY}
EACH_USER = {"scope": limit_pb2.LIMIT_SCOPE_USER}


async def test_a_refusal_names_the_limit_its_value_what_is_left_and_when_to_retry(
    billing: Any, tools: Any
) -> None:
    await billing.create_limit("rpm", 3, **REQUESTS, **MINUTE)
    results = [await billing.authorize(f"op{number}") for number in range(4)]
    assert [result.status.code for result in results[:3]] == [0, 0, 0]
    info = tools.info(results[3].status)
    assert info.reason == "RATE_LIMIT_EXCEEDED"
    assert dict(info.metadata) == {
        "limit": "organizations/acme/limits/rpm",
        "unit": "requests",
        "window_seconds": "60",
        "value": "3",
        "remaining": "0",
        "needed": "1",
    }
    assert tools.retry_seconds(results[3].status) == 20
    assert results[3].status.message == (
        "Limit rpm of 3 requests per minute has 0 left, and this needs 1. Retry in 20 s."
    )


async def test_a_refusal_says_that_what_is_more_than_a_limit_has_never_fits(billing: Any, tools: Any) -> None:
    await billing.create_limit("tpm", 100, **TOKENS, **MINUTE)
    refused = (await billing.authorize(prompt_tokens=100, max_tokens=1)).status
    assert tools.retry_seconds(refused) is None
    assert refused.message == (
        "Limit tpm of 100 tokens per minute has 100 left, and this needs 101. More than it has is never admitted."
    )


@pytest.mark.parametrize(("window", "seconds"), [(SECOND, 1), (MINUTE, 60), (HOUR, 3600), (DAY, 86_400)])
async def test_a_bucket_fills_evenly_over_its_window_to_the_millisecond(
    billing: Any, clock: Clock, window: Any, seconds: int
) -> None:
    await billing.create_limit("l", 4, **REQUESTS, **window)
    for number in range(4):
        assert not (await billing.authorize(f"op{number}")).status.code
    clock.advance(seconds=seconds / 4 - 0.001)
    assert (await billing.authorize("early")).status.code
    clock.advance(seconds=0.001)
    assert not (await billing.authorize("in time")).status.code
    assert (await billing.authorize("one more")).status.code


async def test_a_refusal_takes_nothing_of_anything(billing: Any, tools: Any) -> None:
    await billing.create_budget(10**9)
    await billing.create_limit("plenty", 100, **REQUESTS, **DAY)
    await billing.create_limit("scarce", 1, **TOKENS, **DAY, model="big")
    assert tools.reason((await billing.authorize("1", max_tokens=9, model="big", prompt_tokens=1)).status)
    assert (await billing.budget()).held_nanos == 0
    results = await billing.authorize_all([tools.authorize_item(f"op{number}") for number in range(101)])
    assert [result.status.code for result in results[:100]] == [0] * 100
    assert results[100].status.code


async def test_each_user_has_a_count_of_its_own_and_the_organization_one_for_all(
    billing: Any, tools: Any
) -> None:
    await billing.create_limit("user", 2, **REQUESTS, **HOUR, **EACH_USER)
    await billing.create_limit("all", 5, **REQUESTS, **HOUR)
    limits = []
    for user in ("ann", "bob", "cid"):
        for number in range(3):
            result = await billing.authorize(f"{user}{number}", user=user)
            limits.append(tools.info(result.status).metadata["limit"][26:] if result.status.code else "")
    assert limits == ["", "", "user", "", "", "user", "", "all", "all"]


@pytest.mark.parametrize(
    ("limit", "bound", "free"),
    [
        ({"scope": limit_pb2.LIMIT_SCOPE_TEAM, "subject": "red"}, {"team": "red"}, {"team": "blue"}),
        ({"scope": limit_pb2.LIMIT_SCOPE_API_KEY}, {"api_key": "k"}, {"api_key": ""}),
        ({"scope": limit_pb2.LIMIT_SCOPE_USER, "subject": "a/b"}, {"user": "a/b"}, {"user": "a"}),
        ({"tier": "free"}, {"tier": "free"}, {"tier": "enterprise"}),
        ({"model": "big"}, {"model": "big"}, {"model": "small"}),
    ],
)
async def test_a_limit_binds_whom_and_what_it_names(billing: Any, limit: Any, bound: Any, free: Any) -> None:
    await billing.create_limit("l", 1, **REQUESTS, **DAY, **limit)
    assert not (await billing.authorize("first", **bound)).status.code
    assert (await billing.authorize("second", **bound)).status.code
    for number in range(3):
        assert not (await billing.authorize(f"free{number}", **free)).status.code


async def test_tokens_are_taken_at_their_worst_and_what_was_not_used_comes_back(
    billing: Any, tools: Any
) -> None:
    await billing.create_limit("tpm", 1000, **TOKENS, **MINUTE)
    await billing.authorize("1", prompt_tokens=100, max_tokens=400, n=2)
    refused = tools.info((await billing.authorize("2", prompt_tokens=101, max_tokens=0)).status)
    assert (refused.metadata["remaining"], refused.metadata["unit"]) == ("100", "tokens")
    await billing.settle("1", input=100, output=50)
    assert not (await billing.authorize("3", prompt_tokens=850, max_tokens=0)).status.code


async def test_what_flowed_in_again_is_not_given_back_on_top(billing: Any, clock: Clock) -> None:
    """Given back in full after a minute, the bucket would admit twice its size at once."""
    await billing.create_limit("tpm", 1000, **TOKENS, **MINUTE)
    await billing.authorize("1", prompt_tokens=1000, max_tokens=0)
    clock.advance(seconds=60)
    await billing.authorize("2", prompt_tokens=1000, max_tokens=0)
    await billing.release("1")
    assert (await billing.authorize("3", prompt_tokens=1, max_tokens=0)).status.code


async def test_a_guardrail_s_refusal_gives_back_what_admission_took(billing: Any) -> None:
    await billing.create_limit("rpm", 1, **REQUESTS, **MINUTE)
    await billing.create_limit("tpm", 10, **TOKENS, **MINUTE)
    await billing.create_limit("running", 1, **IN_FLIGHT)
    for number in range(5):
        assert not (await billing.authorize(f"op{number}", prompt_tokens=9, max_tokens=1)).status.code
        await billing.release(f"op{number}")
        await billing.release(f"op{number}")


async def test_what_runs_at_once_is_bounded_until_it_ends_whichever_way(
    start: Any, tools: Any, clock: Clock
) -> None:
    async with start(sweep_interval_seconds=1) as (billing, _server):
        await billing.create_limit("running", 3, **IN_FLIGHT)
        for name in ("settled", "released", "expired"):
            assert not (await billing.authorize(name, lease_seconds=5)).status.code
        refused = await billing.authorize("fourth")
        assert tools.reason(refused.status) == "CONCURRENCY_LIMIT_EXCEEDED"
        assert tools.info(refused.status).metadata["value"] == "3"
        await billing.settle("settled", output=1)
        await billing.release("released")
        for name in ("4", "5"):
            assert not (await billing.authorize(name)).status.code
        assert (await billing.authorize("6")).status.code
        clock.advance(seconds=5)
        await tools.until(lambda: _admits(billing, "7"))
        await billing.settle("expired", output=1)
        assert (await billing.authorize("8")).status.code


async def test_more_than_the_whole_bucket_is_clamped_so_that_it_can_ever_be_admitted(
    billing: Any, tools: Any
) -> None:
    await billing.create_limit("tpm", 100, **TOKENS, **MINUTE)
    result = await billing.authorize("1", prompt_tokens=40, max_tokens=8192, n=2)
    assert (result.max_tokens, result.clamped) == (30, True)
    never = await billing.authorize("2", prompt_tokens=101, max_tokens=8192)
    assert tools.reason(never.status) == "RATE_LIMIT_EXCEEDED"
    assert tools.retry_seconds(never.status) is None


async def test_the_same_operation_again_counts_once(billing: Any) -> None:
    await billing.create_limit("rpm", 1, **REQUESTS, **MINUTE)
    first = await billing.authorize("op")
    assert await billing.authorize("op") == first
    assert not first.status.code


async def test_a_thousand_at_once_get_exactly_what_the_bucket_holds(billing: Any, tools: Any) -> None:
    await billing.create_limit("rps", 100, **REQUESTS, **DAY)
    lists = [[tools.authorize_item(f"{call}-{item}") for item in range(10)] for call in range(100)]
    results = [one for part in await asyncio.gather(*map(billing.authorize_all, lists)) for one in part]
    assert sum(not result.status.code for result in results) == 100


@pytest.mark.parametrize("number", [2, 4])
async def test_replicas_never_multiply_a_limit(
    start: Any, tools: Any, postgres_url: str, differences: Any, number: int
) -> None:
    async with (
        start(database_url=postgres_url) as (one, _),
        start(database_url=postgres_url) as (two, _),
        start(database_url=postgres_url) as (three, _),
        start(database_url=postgres_url) as (four, _),
    ):
        replicas = [one, two, three, four][:number]
        await one.create_limit("rpd", 50, **REQUESTS, **DAY)
        await one.create_limit("running", 40, **IN_FLIGHT)
        lists = [[tools.authorize_item(f"{call}-{item}") for item in range(5)] for call in range(40)]
        calls = [replicas[place % number].authorize_all(part) for place, part in enumerate(lists)]
        results = [result for part in await asyncio.gather(*calls) for result in part]
        admitted = [result.hold.operation_id for result in results if not result.status.code]
        assert len(admitted) == 40
        await asyncio.gather(*(replicas[-1].settle(operation, output=1) for operation in admitted))
        again = [await two.authorize(f"more{number}") for number in range(20)]
        assert sum(not result.status.code for result in again) == 10
    assert await differences(database_url=postgres_url) == []


async def test_a_changed_value_binds_at_once_and_a_deleted_limit_no_more(billing: Any) -> None:
    made = await billing.create_limit("rpm", 1, display_name="trial", **REQUESTS, **MINUTE)
    assert not (await billing.authorize("1")).status.code
    made.value, made.remaining = 3, 2  # one was taken
    request = limit_service_pb2.UpdateLimitRequest(limit=limit_pb2.Limit(name=made.name, value=3))
    assert (await billing.limits.UpdateLimit(request)).limit == made
    assert not (await billing.authorize("2")).status.code
    assert not (await billing.authorize("3")).status.code
    assert (await billing.authorize("4")).status.code
    await billing.limits.DeleteLimit(limit_service_pb2.DeleteLimitRequest(name=made.name))
    assert not (await billing.authorize("4")).status.code
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.limits.GetLimit(limit_service_pb2.GetLimitRequest(name=made.name))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_holds_of_a_deleted_limit_give_nothing_back_to_one_of_the_same_name(
    billing: Any, clock: Clock
) -> None:
    made = await billing.create_limit("running", 1, **IN_FLIGHT)
    await billing.authorize("old")
    await billing.limits.DeleteLimit(limit_service_pb2.DeleteLimitRequest(name=made.name))
    clock.advance(seconds=1)
    await billing.create_limit("running", 1, **IN_FLIGHT)
    assert not (await billing.authorize("new")).status.code
    await billing.settle("old", output=1)
    assert (await billing.authorize("newer")).status.code


async def test_limits_are_listed_page_by_page_and_made_once(billing: Any) -> None:
    for number in range(5):
        await billing.create_limit(f"l{number}", number, **REQUESTS, **SECOND)
    request = limit_service_pb2.ListLimitsRequest(parent="organizations/acme", page_size=2)
    names = []
    while True:
        page = await billing.limits.ListLimits(request)
        names += [limit.name.rpartition("/")[2] for limit in page.limits]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == ["l0", "l1", "l2", "l3", "l4"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.create_limit("l0", 1, **REQUESTS, **SECOND)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    "fields",
    [
        {},
        REQUESTS,
        IN_FLIGHT | SECOND,
        REQUESTS | SECOND | {"subject": "ann"},
        REQUESTS | SECOND | {"tier": "\0"},
    ],
    ids=["no unit", "a rate without a window", "a window too many", "whose subject", "NUL"],
)
async def test_a_limit_that_makes_no_sense_is_refused(billing: Any, fields: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.create_limit("l", 1, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_organization_has_at_most_64_limits(billing: Any) -> None:
    for number in range(64):
        await billing.create_limit(f"l{number}", 1, **REQUESTS, **SECOND)
    with pytest.raises(grpc.aio.AioRpcError, match="at most 64"):
        await billing.create_limit("l64", 1, **REQUESTS, **SECOND)


async def test_limits_are_exact_where_buckets_are_largest(billing: Any) -> None:
    await billing.create_limit("tpd", 10**11, **TOKENS, **DAY)
    for number in range(23):
        assert not (await billing.authorize(f"op{number}", prompt_tokens=2**32 - 1, max_tokens=0)).status.code
    assert (await billing.authorize("too many", prompt_tokens=2**32 - 1, max_tokens=0)).status.code


async def test_counts_that_nobody_uses_are_forgotten_and_what_runs_is_not(
    start: Any, settings: BillingSettings, clock: Clock, tools: Any
) -> None:
    async with start(sweep_interval_seconds=1, reconcile_seconds=80_000) as (billing, _server):
        await billing.create_limit("running", 1, **IN_FLIGHT)
        await billing.create_limit("rpm", 9, **REQUESTS, **MINUTE, **EACH_USER)
        for number in range(3):
            await billing.settle(f"op{number}", user=f"u{number}")
            await billing.authorize(f"op{number}-", user=f"u{number}", lease_seconds=86_400)
        clock.advance(days=1)
        await billing.extend("op0-", user="u0", expire_time=clock() + timedelta(days=1))
        clock.advance(days=1, minutes=1)
        with sqlite3.connect(settings.service_dir / "billing.db") as file:
            await tools.until(lambda: file.execute("SELECT COUNT(*) FROM limit_counts").fetchone() == (1,))
        file.close()
        assert (await billing.authorize("second")).status.code
        await billing.settle("op0-", user="u0")
        assert not (await billing.authorize("third")).status.code


async def _admits(billing: Any, operation: str) -> bool:
    return not (await billing.authorize(operation)).status.code


async def test_who_is_admitted_is_told_what_is_left_of_the_tightest_rates(billing: Any) -> None:
    await billing.create_limit("wide", 100, **REQUESTS, **DAY)
    await billing.create_limit("rpm", 3, **REQUESTS, **MINUTE)
    await billing.create_limit("tpm", 6000, **TOKENS, **MINUTE)
    await billing.create_limit("at-once", 2, **IN_FLIGHT)
    result = await billing.authorize("op", prompt_tokens=1000, max_tokens=500)
    requests, tokens = result.rate_limits
    assert (requests.unit, requests.value, requests.remaining) == (limit_pb2.LIMIT_UNIT_REQUESTS, 3, 2)
    assert requests.reset_after.ToTimedelta() == timedelta(seconds=20)
    assert (tokens.unit, tokens.value, tokens.remaining) == (limit_pb2.LIMIT_UNIT_TOKENS, 6000, 4500)
    assert tokens.reset_after.ToTimedelta() == timedelta(seconds=15)


async def test_who_no_rate_binds_is_told_of_none(billing: Any) -> None:
    await billing.create_limit("at-once", 2, **IN_FLIGHT)
    assert not (await billing.authorize("op")).rate_limits


async def test_a_limit_says_what_is_left_and_for_whom_it_is_least(billing: Any, clock: Clock) -> None:
    await billing.create_limit("each", 4, **REQUESTS, **MINUTE, **EACH_USER)
    for number in range(3):
        await billing.authorize(f"a{number}", user="ann")
    await billing.authorize("b0", user="bob")
    read = limit_service_pb2.GetLimitRequest(name="organizations/acme/limits/each")
    limit = (await billing.limits.GetLimit(read)).limit
    assert (limit.remaining, limit.tightest) == (1, "ann")
    clock.advance(seconds=30)
    limit = (await billing.limits.GetLimit(read)).limit
    assert (limit.remaining, limit.tightest) == (3, "ann")


async def test_a_limit_that_nobody_used_is_whole(billing: Any) -> None:
    made = await billing.create_limit("all", 7, **TOKENS, **DAY)
    assert (made.remaining, made.tightest) == (7, "")
