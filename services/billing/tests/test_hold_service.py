"""HoldService, through a real server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import hold_pb2, hold_service_pb2
from testkit.clock import Clock


async def test_authorize_sets_the_worst_case_aside_and_pins_the_prices(billing: Any) -> None:
    result = await billing.authorize(prompt_tokens=10, max_tokens=5, n=2, lease_seconds=30)
    assert not result.status.code
    assert result.hold.amount_nanos == 10 * 1000 + 2 * 5 * 2000
    assert result.hold.state == hold_pb2.HOLD_STATE_OPEN
    assert result.hold.expire_time.seconds - result.hold.create_time.seconds == 30
    assert (result.max_tokens, result.clamped) == (5, False)
    assert result.prices[0].sku == "test/model"
    assert result.prices[0].output_nanos_per_million == 2_000_000_000


async def test_the_dearest_sku_is_held_and_prices_come_in_the_order_asked_for(billing: Any) -> None:
    result = await billing.authorize(max_tokens=1, skus=("test/cheap", "test/dear", "test/model"))
    assert result.hold.amount_nanos == 20_000
    assert [price.sku for price in result.prices] == ["test/cheap", "test/dear", "test/model"]


async def test_settle_charges_what_was_used_and_gives_the_rest_back(billing: Any) -> None:
    await billing.create_budget(100_000)
    await billing.authorize(prompt_tokens=10, max_tokens=20)
    assert (await billing.budget()).held_nanos == 50_000
    result = await billing.settle(input=10, output=3)
    assert (result.cost_nanos, result.late) == (16_000, False)
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (16_000, 0)


async def test_what_does_not_fit_is_clamped_to_what_the_balance_buys(billing: Any) -> None:
    await billing.create_budget(10_999)
    result = await billing.authorize(prompt_tokens=2, max_tokens=100)
    assert (result.max_tokens, result.clamped) == (4, True)  # 2,000 for the prompt, 4 x 2,000 for the answer
    assert result.hold.amount_nanos == 10_000


async def test_a_balance_that_buys_no_answer_token_is_refused_and_nothing_is_taken(
    billing: Any, tools: Any
) -> None:
    await billing.create_budget(3_999)
    result = await billing.authorize(prompt_tokens=2, max_tokens=100)
    info = tools.info(result.status)
    assert info.reason == "BUDGET_EXCEEDED"
    assert dict(info.metadata) == {
        "budget": "organizations/acme/budgets/b",
        "amount_nanos": "3999",
        "available_nanos": "3999",
        "needed_nanos": "4000",
    }
    assert (await billing.budget()).held_nanos == 0


async def test_an_operation_without_an_answer_needs_only_its_prompt(billing: Any) -> None:
    await billing.create_budget(2_000)
    result = await billing.authorize(prompt_tokens=2, max_tokens=0)
    assert (result.status.code, result.max_tokens, result.clamped) == (0, 0, False)


async def test_every_budget_that_applies_must_fit_and_others_do_not_count(billing: Any, tools: Any) -> None:
    await billing.create_budget(100_000, "whole")
    await billing.create_budget(6_000, "red", team="red")
    await billing.create_budget(1, "blue", team="blue")
    await billing.create_budget(4_000, "ann", user="ann")
    await billing.create_budget(2_000, "key", api_key="k1")
    assert (await billing.authorize("1", max_tokens=9, team="red")).max_tokens == 3
    assert (await billing.authorize("2", max_tokens=9, user="ann")).max_tokens == 2
    assert (await billing.authorize("3", max_tokens=9, api_key="k1", user="bob")).max_tokens == 1
    refused = await billing.authorize("4", user="ann", team="red", api_key="k2")
    assert tools.info(refused.status).metadata["available_nanos"] == "0"
    assert (await billing.budget("whole")).held_nanos == 12_000


async def test_two_items_of_a_list_cannot_both_take_the_last_of_a_budget(billing: Any, tools: Any) -> None:
    await billing.create_budget(3_000)
    first, second = await billing.authorize_all([tools.authorize_item("1"), tools.authorize_item("2")])
    assert not first.status.code
    assert tools.reason(second.status) == "BUDGET_EXCEEDED"


async def test_a_refused_item_leaves_its_list_mates_alone(billing: Any, tools: Any) -> None:
    items = [
        tools.authorize_item("1"),
        tools.authorize_item("2", skus=("no/such",)),
        tools.authorize_item("3"),
    ]
    results = await billing.authorize_all(items)
    assert [result.status.code for result in results] == [0, grpc.StatusCode.FAILED_PRECONDITION.value[0], 0]


async def test_the_same_operation_again_gets_the_same_answer_and_takes_nothing(
    billing: Any, clock: Clock
) -> None:
    await billing.create_budget(10_000)
    first = await billing.authorize(max_tokens=9)
    clock.advance(seconds=5)
    assert await billing.authorize(max_tokens=9) == first
    assert first.clamped
    assert (await billing.budget()).held_nanos == first.hold.amount_nanos


async def test_a_retry_with_another_trace_and_deadline_is_the_same_operation(
    billing: Any, tools: Any
) -> None:
    item = tools.authorize_item("op")
    (first,) = await billing.authorize_all([item])
    item.context.traceparent = "00-1-2-01"
    item.context.request_id = "another"
    item.context.deadline_time.FromDatetime(datetime(2026, 1, 1, 1, tzinfo=UTC))
    (again,) = await billing.authorize_all([item])
    assert again == first


@pytest.mark.parametrize("change", [{"max_tokens": 2}, {"prompt_tokens": 1}, {"user": "eve"}, {"n": 3}])
async def test_the_same_operation_with_another_body_is_an_error(
    billing: Any, tools: Any, change: Any
) -> None:
    await billing.authorize(max_tokens=1)
    result = await billing.authorize(**{"max_tokens": 1, **change})
    assert tools.reason(result.status) == "REQUEST_ID_REUSED"


async def test_the_same_id_in_two_organizations_is_two_operations(billing: Any) -> None:
    assert not (await billing.authorize(organization="acme", max_tokens=1)).status.code
    assert not (await billing.authorize(organization="bmce", max_tokens=2)).status.code
    await billing.settle(organization="bmce", output=1)
    assert len(await billing.records(organization="acme")) == 0
    assert len(await billing.records(organization="bmce")) == 1


async def test_a_closed_operation_cannot_be_authorized_again_so_nothing_runs_without_a_hold(
    billing: Any, tools: Any
) -> None:
    await billing.authorize()
    await billing.settle(output=1)
    result = await billing.authorize()
    assert tools.info(result.status).metadata["state"] == "SETTLED"
    assert tools.reason(result.status) == "HOLD_NOT_OPEN"


async def test_work_is_not_started_after_its_deadline(billing: Any, tools: Any, clock: Clock) -> None:
    result = await billing.authorize(deadline_time=clock() - timedelta(milliseconds=1))
    assert tools.reason(result.status) == "DEADLINE_EXCEEDED"
    assert not (await billing.authorize(deadline_time=clock() + timedelta(seconds=1))).status.code


async def test_a_settlement_again_gets_the_same_answer_and_charges_nothing(billing: Any) -> None:
    await billing.create_budget(100_000)
    await billing.authorize(max_tokens=9)
    first = await billing.settle(output=4)
    assert await billing.settle(output=4) == first
    assert (await billing.budget()).spent_nanos == 8_000
    assert len(await billing.records()) == 1


async def test_a_settlement_with_another_body_is_an_error(billing: Any, tools: Any) -> None:
    await billing.authorize(max_tokens=9)
    await billing.settle(output=4)
    assert tools.reason((await billing.settle(output=5)).status) == "REQUEST_ID_REUSED"


async def test_copies_within_one_list_are_one_operation(billing: Any, tools: Any) -> None:
    first, second = await billing.authorize_all([tools.authorize_item("op")] * 2)
    assert first == second
    first, second = await billing.settle_all([tools.settle_item("op", output=1)] * 2)
    assert first == second
    assert len(await billing.records()) == 1


async def test_a_cache_hit_settles_without_a_hold_and_costs_nothing(billing: Any, tools: Any) -> None:
    hit = tools.attempt(
        "no/price", outcome=hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT, avoided_cost_nanos=77, output=9
    )
    (result,) = await billing.settle_all([tools.settle_item("op", hit)])
    assert (result.status.code, result.cost_nanos, result.late) == (0, 0, False)
    (record,) = await billing.records()
    assert (record.avoided_cost_nanos, record.tokens.output, record.cost_nanos) == (77, 9, 0)


async def test_a_settlement_that_overtakes_its_authorization_is_posted_and_closes_the_operation(
    billing: Any, tools: Any
) -> None:
    await billing.create_budget(100_000)
    assert (await billing.settle(output=1)).cost_nanos == 2_000
    assert tools.reason((await billing.authorize()).status) == "HOLD_NOT_OPEN"
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (2_000, 0)


async def test_a_settlement_dearer_than_its_hold_is_posted_whole(billing: Any) -> None:
    await billing.create_budget(4_000)
    await billing.authorize(max_tokens=1)
    assert (await billing.settle(output=10)).cost_nanos == 20_000
    assert (await billing.budget()).spent_nanos == 20_000


async def test_a_try_that_comes_twice_is_refused_and_nothing_is_posted(billing: Any, tools: Any) -> None:
    twice = tools.settle_item("op", tools.attempt(output=1), tools.attempt(output=2))
    (result,) = await billing.settle_all([twice])
    assert tools.reason(result.status) == "INVALID_ARGUMENT"
    assert len(await billing.records()) == 0


async def test_release_gives_everything_back_and_again_changes_nothing(billing: Any) -> None:
    await billing.create_budget(10_000)
    await billing.authorize(max_tokens=5)
    assert not (await billing.release()).status.code
    assert not (await billing.release()).status.code
    assert (await billing.budget()).held_nanos == 0


async def test_releasing_what_was_settled_is_an_error(billing: Any, tools: Any) -> None:
    await billing.authorize()
    await billing.settle(output=1)
    assert tools.reason((await billing.release()).status) == "HOLD_NOT_OPEN"


async def test_a_release_that_overtakes_its_authorization_keeps_it_from_leaking_a_hold(
    billing: Any, tools: Any
) -> None:
    await billing.create_budget(10_000)
    assert not (await billing.release()).status.code
    result = await billing.authorize()
    assert tools.info(result.status).metadata["state"] == "RELEASED"
    assert (await billing.budget()).held_nanos == 0


async def test_usage_of_a_released_operation_is_posted_and_flagged(billing: Any) -> None:
    await billing.create_budget(10_000)
    await billing.authorize(max_tokens=5)
    await billing.release()
    result = await billing.settle(output=2)
    assert (result.cost_nanos, result.late) == (4_000, True)
    (record,) = await billing.records()
    assert record.late
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (4_000, 0)


async def test_extend_lengthens_and_never_shortens(billing: Any, clock: Clock) -> None:
    hold = (await billing.authorize(lease_seconds=60)).hold
    later = clock() + timedelta(seconds=90)
    assert (await billing.extend(expire_time=later)).hold.expire_time.ToDatetime(UTC) == later
    earlier = clock() + timedelta(seconds=1)
    extended = await billing.extend(expire_time=earlier)
    assert extended.hold.expire_time.ToDatetime(UTC) == later
    assert extended.hold.amount_nanos == hold.amount_nanos


async def test_a_lease_is_never_longer_than_a_day_from_now(billing: Any, clock: Clock) -> None:
    await billing.authorize()
    extended = await billing.extend(expire_time=clock() + timedelta(days=400))
    assert extended.hold.expire_time.ToDatetime(UTC) == clock() + timedelta(days=1)


async def test_extend_widens_within_the_budget_and_otherwise_changes_nothing(
    billing: Any, tools: Any, clock: Clock
) -> None:
    await billing.create_budget(10_000)
    await billing.authorize(max_tokens=1)
    until = clock() + timedelta(seconds=90)
    assert (await billing.extend(expire_time=until, amount_nanos=10_000)).hold.amount_nanos == 10_000
    assert (await billing.extend(expire_time=until, amount_nanos=4_000)).hold.amount_nanos == 10_000
    refused = await billing.extend(expire_time=until, amount_nanos=10_001)
    assert dict(tools.info(refused.status).metadata)["needed_nanos"] == "1"
    assert (await billing.budget()).held_nanos == 10_000
    assert (await billing.settle(output=5)).cost_nanos == 10_000


async def test_extending_what_is_closed_or_unknown_is_an_error(
    billing: Any, tools: Any, clock: Clock
) -> None:
    assert tools.reason((await billing.extend("none", expire_time=clock())).status) == "RESOURCE_NOT_FOUND"
    await billing.authorize()
    await billing.release()
    assert tools.reason((await billing.extend(expire_time=clock())).status) == "HOLD_NOT_OPEN"


async def test_one_operation_holds_at_most_a_million_dollars(billing: Any, tools: Any) -> None:
    clamped = await billing.authorize(max_tokens=2**32 - 1, n=128, skus=("test/dear",))
    assert (clamped.clamped, clamped.hold.amount_nanos) == (True, 10**15)
    refused = await billing.extend(expire_time=clamped.hold.expire_time, amount_nanos=10**15 + 1)
    assert tools.reason(refused.status) == "INVALID_ARGUMENT"


async def test_a_list_that_breaks_the_contract_is_refused_whole(billing: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.holds.Authorize(hold_service_pb2.AuthorizeRequest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_each_try_is_priced_and_listed_with_what_is_known_of_it(billing: Any, tools: Any) -> None:
    await billing.authorize(
        max_tokens=9, skus=("test/model", "test/cheap"), user="ann", team="red", api_key="k"
    )
    failed = tools.attempt("test/model", 0, hold_pb2.ATTEMPT_OUTCOME_FAILED, input=10)
    served = tools.attempt("test/cheap", 1, input=10, output=5)
    (result,) = await billing.settle_all(
        [
            tools.settle_item(
                "op", failed, served, metadata={"feature": "x"}, user="ann", team="red", api_key="k"
            )
        ]
    )
    assert result.cost_nanos == 10 * 100 + 5 * 200
    second, first = await billing.records("op")
    assert (first.attempt, first.cost_nanos, first.outcome) == (0, 0, hold_pb2.ATTEMPT_OUTCOME_FAILED)
    assert (second.attempt, second.sku, second.cost_nanos) == (1, "test/cheap", 2_000)
    assert (second.user, second.team, second.api_key) == ("ann", "red", "k")
    assert (second.model, second.endpoint, second.operation) == ("model", "engine", "chat")
    assert dict(second.metadata) == {"feature": "x"}
    assert second.book_version


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800, 2**63 - 1])
async def test_a_time_that_no_calendar_has_is_refused(billing: Any, tools: Any, seconds: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.settle(output=1, end_seconds=seconds)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_user_id_that_postgresql_cannot_keep_is_refused(billing: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await billing.authorize(user="a\0b")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
