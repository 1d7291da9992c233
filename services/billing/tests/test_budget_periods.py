"""Calendar and rolling periods, hard and soft."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.billing.v1 import budget_pb2, budget_service_pb2
from penstock_billing.budget import Period
from penstock_billing.clock import DAY_US, from_us, to_us
from testkit.clock import Clock

TIMES = st.integers(to_us(datetime(1999, 1, 1, tzinfo=UTC)), to_us(datetime(2100, 1, 1, tzinfo=UTC)))
CALENDAR = [Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR]
ROLLING = [Period.ROLLING_DAY, Period.ROLLING_WEEK, Period.ROLLING_MONTH]
SPANS_US = {Period.ROLLING_DAY: DAY_US, Period.ROLLING_WEEK: 7 * DAY_US, Period.ROLLING_MONTH: 30 * DAY_US}


@pytest.mark.parametrize("period", CALENDAR)
@given(at_us=TIMES)
def test_a_calendar_period_begins_at_a_midnight_and_the_next_where_it_ends(
    period: Period, at_us: int
) -> None:
    start_us, next_us = period.start_us(at_us), period.next_us(at_us)
    assert next_us is not None
    assert start_us <= at_us < next_us
    assert start_us % DAY_US == next_us % DAY_US == 0
    assert period.start_us(next_us - 1) == start_us
    assert period.start_us(next_us) == next_us
    began = from_us(start_us)
    assert period is not Period.WEEK or began.isoweekday() == 1
    assert period is not Period.MONTH or began.day == 1
    assert period is not Period.YEAR or (began.month, began.day) == (1, 1)


@pytest.mark.parametrize("period", ROLLING)
@given(at_us=TIMES)
def test_a_rolling_period_counts_at_least_its_span_and_a_slice_more_at_most(
    period: Period, at_us: int
) -> None:
    start_us, next_us = period.start_us(at_us), period.next_us(at_us)
    assert next_us is not None
    assert SPANS_US[period] <= at_us - start_us < SPANS_US[period] + period.slice_us
    assert period.start_us(next_us - 1) == start_us
    assert period.start_us(next_us) == start_us + period.slice_us


async def test_spend_leaves_a_rolling_budget_when_it_is_past_and_a_refusal_says_when(
    billing: Any, clock: Clock, tools: Any
) -> None:
    await billing.create_budget(10_000, period="BUDGET_PERIOD_ROLLING_DAY")
    await billing.settle("morning", input=6)
    clock.advance(hours=8)
    await billing.settle("evening", input=3)
    refused = await billing.authorize("op", prompt_tokens=2, max_tokens=0)
    assert tools.info(refused.status).metadata["reset_time"] == "2026-01-02T01:00:00Z"
    clock.advance(hours=16, minutes=59)
    assert (await billing.budget()).spent_nanos == 9_000
    clock.advance(minutes=1)
    assert (await billing.budget()).spent_nanos == 3_000
    assert not (await billing.authorize("op", prompt_tokens=7, max_tokens=0)).status.code
    assert (await billing.authorize("op2", prompt_tokens=1, max_tokens=0)).status.code


async def test_a_new_rolling_budget_counts_what_was_spent_before_it(billing: Any, clock: Clock) -> None:
    for _ in range(3):
        await billing.settle(f"{clock():%d}", input=5)
        clock.advance(days=4)
    made = await billing.create_budget(10**6, period="BUDGET_PERIOD_ROLLING_WEEK")
    assert made.spent_nanos == 5_000
    await billing.settle("now", input=1)
    clock.advance(hours=78)
    assert (await billing.budget()).spent_nanos == 1_000


async def test_a_soft_budget_counts_and_refuses_nothing(billing: Any) -> None:
    await billing.create_budget(1_000, "soft", enforcement="BUDGET_ENFORCEMENT_SOFT")
    result = await billing.authorize(max_tokens=50)
    assert (result.max_tokens, result.clamped) == (50, False)
    await billing.settle(output=50)
    assert (await billing.budget("soft")).spent_nanos == 100_000


async def test_a_soft_budget_can_be_made_hard_and_binds_at_once(billing: Any, tools: Any) -> None:
    made = await billing.create_budget(1_000, enforcement="BUDGET_ENFORCEMENT_SOFT")
    made.enforcement = budget_pb2.BUDGET_ENFORCEMENT_UNSPECIFIED
    request = budget_service_pb2.UpdateBudgetRequest(budget=made)
    request.update_mask.paths.append("enforcement")
    await billing.budgets.UpdateBudget(request)
    assert tools.reason((await billing.authorize(max_tokens=1)).status) == "BUDGET_EXCEEDED"


async def test_a_refusal_says_what_is_left_and_when_spend_starts_anew(
    billing: Any, clock: Clock, tools: Any
) -> None:
    clock.set(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    await billing.create_budget(9_000, "month", period="BUDGET_PERIOD_MONTH")
    await billing.settle("before", input=8)
    refused = (await billing.authorize("op", prompt_tokens=2, max_tokens=0)).status
    assert dict(tools.info(refused).metadata) == {
        "budget": "organizations/acme/budgets/month",
        "amount_nanos": "9000",
        "available_nanos": "1000",
        "needed_nanos": "2000",
        "reset_time": "2027-01-01T00:00:00Z",
    }
    assert tools.retry_seconds(refused) == 60
    assert refused.message == (
        "Budget month of $0.000009 has $0.000001 left, and this may cost $0.000002."
        " There is more at 2027-01-01T00:00:00Z."
    )


async def test_a_refusal_promises_nothing_where_waiting_does_not_help(billing: Any, tools: Any) -> None:
    """A budget for all time gets no room by itself, and what is dearer than a whole budget never fits."""
    await billing.create_budget(1_000, "day", period="BUDGET_PERIOD_DAY")
    await billing.create_budget(0, "ever", organization="bmce")
    for refused in (
        (await billing.authorize("op", prompt_tokens=2, max_tokens=0)).status,
        (await billing.authorize("op", organization="bmce")).status,
    ):
        assert "reset_time" not in tools.info(refused).metadata
        assert tools.retry_seconds(refused) is None
