"""ForecastSpend and ListSpendAnomalies, through a real server."""

from datetime import UTC, datetime
from typing import Any

import pytest
from penstock.billing.v1 import budget_pb2, usage_service_pb2
from testkit.clock import Clock

PARENT = "organizations/acme"
HOURS = 6 * 168


@pytest.fixture
async def spent(billing: Any, tools: Any, clock: Clock) -> Any:
    """Give a service on which six weeks of an even dollar an hour went by, and one hour of ten."""
    for hour in range(HOURS):
        tokens = 10_000_000 if hour == HOURS - 5 else 1_000_000
        await billing.settle_all([tools.settle_item(str(hour), input=tokens, user="ann")])
        clock.advance(hours=1)
    return billing


async def test_what_people_ask_of_the_future(spent: Any, clock: Clock, refused: Any) -> None:
    assert clock() == datetime(2026, 2, 12, tzinfo=UTC)
    month = await _forecast(spent)
    assert month.end_time.ToDatetime(UTC) == datetime(2026, 3, 1, tzinfo=UTC)
    assert month.spent_nanos == (11 * 24 + 9) * 10**9
    rest_hours = 17 * 24
    assert month.end_p10_nanos <= month.end_p50_nanos <= month.end_p90_nanos
    assert abs(month.end_p50_nanos - month.spent_nanos - rest_hours * 10**9) < rest_hours * 10**8
    assert not month.HasField("exhaustion_p50_hours")
    assert month.history_hours == HOURS

    await spent.create_budget(
        month.spent_nanos + 48 * 10**9, user="ann", period=budget_pb2.BUDGET_PERIOD_MONTH
    )
    budget = await _forecast(spent, "b")
    assert 24 <= budget.exhaustion_p10_hours <= budget.exhaustion_p50_hours <= 48
    assert await refused(_forecast(spent, "none")) == "RESOURCE_NOT_FOUND"

    request = usage_service_pb2.ListSpendAnomaliesRequest(parent=PARENT)
    (anomaly,) = (await spent.usage.ListSpendAnomalies(request)).anomalies
    assert anomaly.start_time.ToDatetime(UTC) == datetime(2026, 2, 11, 19, tzinfo=UTC)
    assert (anomaly.spent_nanos, anomaly.expected_nanos) == (10 * 10**9, 10**9)
    request.z_score_milli_min = 1_000_000
    assert len((await spent.usage.ListSpendAnomalies(request)).anomalies) == 0
    request.start_time.FromDatetime(datetime(2025, 12, 1, tzinfo=UTC))
    assert await refused(spent.usage.ListSpendAnomalies(request)) == "INVALID_ARGUMENT"


async def test_nobody_spent_anything_yet(billing: Any) -> None:
    answer = await _forecast(billing)
    assert (answer.spent_nanos, answer.end_p90_nanos, answer.history_hours) == (0, 0, 0)
    request = usage_service_pb2.ListSpendAnomaliesRequest(parent=PARENT)
    assert len((await billing.usage.ListSpendAnomalies(request)).anomalies) == 0


async def _forecast(billing: Any, budget_id: str = "") -> Any:
    request = usage_service_pb2.ForecastSpendRequest(parent=PARENT, budget_id=budget_id)
    return await billing.usage.ForecastSpend(request)
