"""BudgetService, through a real server."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from penstock.billing.v1 import budget_pb2, budget_service_pb2
from servicekit.errors import AlreadyExists, InvalidArgument, NotFound, from_rpc_error
from testkit.clock import Clock


async def test_a_budget_counts_what_was_spent_and_is_held_before_it_was_made(billing: Any) -> None:
    await billing.authorize("1", max_tokens=9, team="red")
    await billing.settle("1", output=3)
    await billing.authorize("2", max_tokens=5, team="red")
    await billing.authorize("3", max_tokens=7, team="blue")
    red = await billing.create_budget(100_000, "red", team="red")
    whole = await billing.create_budget(100_000, "whole")
    assert (red.spent_nanos, red.held_nanos) == (6_000, 10_000)
    assert (whole.spent_nanos, whole.held_nanos) == (6_000, 24_000)


async def test_a_budget_made_while_holds_are_open_follows_their_settlement(billing: Any) -> None:
    await billing.authorize(max_tokens=5)
    await billing.create_budget(100_000)
    await billing.settle(output=5)
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (10_000, 0)


async def test_what_a_budget_says_is_what_was_asked_for(billing: Any, clock: Clock) -> None:
    made = await billing.create_budget(
        5, display_name="Red team", team="red", period=budget_pb2.BUDGET_PERIOD_MONTH
    )
    assert made == await billing.budget()
    assert made.name == "organizations/acme/budgets/b"
    assert (made.display_name, made.team, made.amount_nanos) == ("Red team", "red", 5)
    assert made.create_time.ToDatetime(UTC) == clock()
    assert made.period_start_time.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_user_may_have_slashes_in_the_id(billing: Any) -> None:
    await billing.create_budget(100, user="https://issuer/ann")
    assert (await billing.budget()).user == "https://issuer/ann"
    assert (await billing.authorize(user="https://issuer/ann", max_tokens=9)).status.code


async def test_spend_starts_anew_at_midnight_and_holds_stay(billing: Any, clock: Clock) -> None:
    clock.set(datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC))
    await billing.create_budget(10_000, "day", period=budget_pb2.BUDGET_PERIOD_DAY)
    await billing.create_budget(10_000, "month", period=budget_pb2.BUDGET_PERIOD_MONTH)
    await billing.create_budget(50_000, "ever")
    await billing.authorize("1", max_tokens=3, lease_seconds=600)
    await billing.authorize("2", max_tokens=2, lease_seconds=600)
    await billing.settle("1", output=3)
    clock.set(datetime(2026, 2, 1, tzinfo=UTC))
    for budget_id, spent_nanos in (("day", 0), ("month", 0), ("ever", 6_000)):
        budget = await billing.budget(budget_id)
        assert (budget.spent_nanos, budget.held_nanos) == (spent_nanos, 4_000)
    assert (await billing.authorize("3", max_tokens=9)).max_tokens == 3


async def test_spend_counts_when_it_is_settled(billing: Any, clock: Clock) -> None:
    clock.set(datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    await billing.create_budget(10_000, period=budget_pb2.BUDGET_PERIOD_DAY)
    await billing.authorize(max_tokens=3)
    clock.advance(seconds=1)
    await billing.settle(output=3)
    budget = await billing.budget()
    assert budget.spent_nanos == 6_000
    assert budget.period_start_time.ToDatetime(UTC) == datetime(2026, 3, 1, tzinfo=UTC)


async def test_an_update_binds_at_once_also_below_what_is_spent(billing: Any, tools: Any) -> None:
    await billing.create_budget(10_000)
    await billing.authorize("1", max_tokens=3)
    await billing.settle("1", output=3)
    updated = await _update(billing, amount_nanos=5_000, display_name="less")
    assert (updated.amount_nanos, updated.display_name, updated.spent_nanos) == (5_000, "less", 6_000)
    refused = await billing.authorize("2")
    assert tools.info(refused.status).metadata["available_nanos"] == "0"
    await _update(billing, amount_nanos=8_000)
    assert not (await billing.authorize("2")).status.code


async def test_an_update_changes_what_its_mask_names_and_without_one_what_is_set(billing: Any) -> None:
    await billing.create_budget(10_000, display_name="name")
    assert (await _update(billing, ["amount_nanos"])).amount_nanos == 0
    assert (await _update(billing, ["amount_nanos"], display_name="no")).display_name == "name"
    assert (await _update(billing, display_name="yes")).display_name == "yes"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _update(billing, ["period"])
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)


async def test_a_deleted_budget_binds_nothing_and_the_ledger_stays(billing: Any) -> None:
    await billing.create_budget(1)
    await billing.budgets.DeleteBudget(
        budget_service_pb2.DeleteBudgetRequest(name="organizations/acme/budgets/b")
    )
    assert not (await billing.authorize(max_tokens=9)).status.code
    await billing.settle(output=9)
    assert (await billing.create_budget(100_000)).spent_nanos == 18_000


async def test_names_are_taken_once_and_must_exist(billing: Any) -> None:
    await billing.create_budget(1)
    assert await _error(billing.create_budget(2)) is AlreadyExists
    name = "organizations/acme/budgets/none"
    assert await _error(billing.budget("none")) is NotFound
    assert (
        await _error(billing.budgets.DeleteBudget(budget_service_pb2.DeleteBudgetRequest(name=name)))
        is NotFound
    )
    update = budget_service_pb2.UpdateBudgetRequest(budget=budget_pb2.Budget(name=name, amount_nanos=1))
    assert await _error(billing.budgets.UpdateBudget(update)) is NotFound
    update.budget.name = "organizations/acme/keys/b"
    assert await _error(billing.budgets.UpdateBudget(update)) is InvalidArgument


async def test_a_text_that_postgresql_cannot_keep_is_refused(billing: Any) -> None:
    assert await _error(billing.create_budget(1, display_name="a\0b")) is InvalidArgument
    assert await _error(billing.create_budget(1, user="a\0b")) is InvalidArgument
    await billing.create_budget(1)
    assert await _error(_update(billing, display_name="a\0b")) is InvalidArgument


async def test_a_subject_has_a_bounded_number_of_budgets(billing: Any) -> None:
    for number in range(16):
        await billing.create_budget(1, f"b{number}", team="red")
    assert await _error(billing.create_budget(1, "b16", team="red")) is InvalidArgument
    await billing.create_budget(1, "b16", team="blue")


async def test_budgets_are_listed_by_name_in_pages_of_their_organization(billing: Any) -> None:
    for number in (3, 1, 2):
        await billing.create_budget(1, f"b{number}")
    await billing.create_budget(1, "b0", organization="other")
    request = budget_service_pb2.ListBudgetsRequest(parent="organizations/acme", page_size=2)
    first = await billing.budgets.ListBudgets(request)
    request.page_token = first.next_page_token
    second = await billing.budgets.ListBudgets(request)
    names = [budget.name.rpartition("/")[2] for budget in (*first.budgets, *second.budgets)]
    assert names == ["b1", "b2", "b3"]
    assert second.next_page_token == ""


async def test_a_page_token_of_another_question_is_refused(billing: Any) -> None:
    for number in (1, 2):
        await billing.create_budget(1, f"b{number}")
    request = budget_service_pb2.ListBudgetsRequest(parent="organizations/acme", page_size=1)
    request.page_token = (await billing.budgets.ListBudgets(request)).next_page_token
    request.parent = "organizations/other"
    assert await _error(billing.budgets.ListBudgets(request)) is InvalidArgument
    for token in ("x", "bm8=", "WzFd", "ünd"):
        request.page_token = token
        assert await _error(billing.budgets.ListBudgets(request)) is InvalidArgument


async def _update(billing: Any, paths: list[str] | None = None, **fields: Any) -> budget_pb2.Budget:
    request = budget_service_pb2.UpdateBudgetRequest(
        budget=budget_pb2.Budget(name="organizations/acme/budgets/b", **fields),
        update_mask=FieldMask(paths=paths),
    )
    return (await billing.budgets.UpdateBudget(request)).budget


async def _error(call: Any) -> type:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return type(from_rpc_error(caught.value))
