"""UsageService and PriceService, through a real server; nothing is folded yet (`test_fold`)."""

from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import hold_pb2, price_service_pb2, usage_pb2, usage_service_pb2
from servicekit.errors import InvalidArgument, from_rpc_error
from testkit.clock import Clock

BEGINNING = 1_767_225_600  # 2026-01-01T00:00:00Z, where the test clock begins
HOUR = 3600


@pytest.fixture
async def used(billing: Any, tools: Any, clock: Clock) -> Any:
    """Give a service on which two users used two models over a day."""
    clock.advance(days=3)
    await _use(billing, tools)
    return billing


async def _use(billing: Any, tools: Any) -> None:
    hit = tools.attempt(outcome=hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT, avoided_cost_nanos=500)
    items = [
        tools.settle_item("1", input=1, output=2, model="m1", user="ann", end_seconds=BEGINNING),
        tools.settle_item("2", input=3, output=4, model="m2", user="ann", end_seconds=BEGINNING + HOUR),
        tools.settle_item(
            "3", tools.attempt(output=5), model="m1", user="bob", end_seconds=BEGINNING + HOUR + 1
        ),
        tools.settle_item("4", hit, model="m1", user="bob", end_seconds=BEGINNING + 25 * HOUR),
        tools.settle_item("5", output=9, organization="other", end_seconds=BEGINNING),
    ]
    await billing.settle_all(items)


async def test_usage_is_summed_over_everything_without_a_grouping(used: Any) -> None:
    (row,) = (await _query(used)).rows
    assert (row.operations, row.attempts, row.cost_nanos, row.avoided_cost_nanos) == (4, 4, 26_000, 500)
    assert (row.tokens.input, row.tokens.output) == (4, 11)
    assert list(row.group) == []


async def test_groups_come_dearest_first(used: Any) -> None:
    rows = (await _query(used, [usage_pb2.USAGE_DIMENSION_MODEL, usage_pb2.USAGE_DIMENSION_USER])).rows
    assert [(list(row.group), row.cost_nanos) for row in rows] == [
        (["m2", "ann"], 11_000),
        (["m1", "bob"], 10_000),
        (["m1", "ann"], 5_000),
    ]


async def test_hours_days_and_outcomes_are_groups_too(used: Any) -> None:
    hours = (await _query(used, [usage_pb2.USAGE_DIMENSION_HOUR])).rows
    assert [(row.group[0], row.cost_nanos) for row in hours] == [
        ("2026-01-01T01:00:00Z", 21_000),
        ("2026-01-01T00:00:00Z", 5_000),
        ("2026-01-02T01:00:00Z", 0),
    ]
    days = (await _query(used, [usage_pb2.USAGE_DIMENSION_DAY])).rows
    assert [row.group[0] for row in days] == ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    outcomes = (await _query(used, [usage_pb2.USAGE_DIMENSION_OUTCOME])).rows
    assert [row.group[0] for row in outcomes] == ["ATTEMPT_OUTCOME_SUCCEEDED", "ATTEMPT_OUTCOME_CACHE_HIT"]


@pytest.mark.parametrize(
    "dimension",
    [usage_pb2.USAGE_DIMENSION_TEAM, usage_pb2.USAGE_DIMENSION_API_KEY, usage_pb2.USAGE_DIMENSION_ENDPOINT],
)
async def test_every_other_dimension_groups(used: Any, dimension: usage_pb2.UsageDimension) -> None:
    (row,) = (await _query(used, [dimension])).rows
    assert row.cost_nanos == 26_000


async def test_the_start_is_inclusive_and_the_end_exclusive(used: Any) -> None:
    rows = (await _query(used, start=BEGINNING, end=BEGINNING + HOUR)).rows
    assert [row.cost_nanos for row in rows] == [5_000]
    rows = (await _query(used, start=BEGINNING + HOUR, end=BEGINNING + HOUR + 1)).rows
    assert [row.cost_nanos for row in rows] == [11_000]


async def test_nothing_used_is_one_row_of_zeros_or_no_group(used: Any) -> None:
    (row,) = (await _query(used, start=BEGINNING + 26 * HOUR)).rows
    assert (row.operations, row.cost_nanos) == (0, 0)
    assert len((await _query(used, [usage_pb2.USAGE_DIMENSION_DAY], start=BEGINNING + 26 * HOUR)).rows) == 0


async def test_without_an_end_the_current_hour_counts(used: Any, tools: Any, clock: Clock) -> None:
    await used.settle_all([tools.settle_item("6", output=1, end_seconds=int(clock.seconds))])
    (row,) = (await _query(used)).rows
    assert row.operations == 5


async def test_an_end_before_its_start_is_refused(used: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _query(used, start=BEGINNING, end=BEGINNING - 1)
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)


async def test_a_time_that_no_calendar_has_is_refused(used: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _query(used, start=2**63 - 1)
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)


async def test_pages_of_sums_keep_their_end_while_usage_comes_in(used: Any, tools: Any, clock: Clock) -> None:
    group_by = [usage_pb2.USAGE_DIMENSION_MODEL, usage_pb2.USAGE_DIMENSION_USER]
    request = _request(group_by, end=int(clock.seconds))
    request.page_size = 2
    first = await used.usage.QueryUsage(request)
    await used.settle_all([tools.settle_item("6", output=99, model="m9", end_seconds=int(clock.seconds))])
    clock.advance(seconds=10)
    request.page_token = first.next_page_token
    second = await used.usage.QueryUsage(request)
    assert [row.cost_nanos for row in (*first.rows, *second.rows)] == [11_000, 10_000, 5_000]
    assert second.next_page_token == ""


async def test_records_come_newest_first_in_pages(used: Any) -> None:
    request = usage_service_pb2.ListUsageRecordsRequest(parent="organizations/acme", page_size=3)
    first = await used.usage.ListUsageRecords(request)
    request.page_token = first.next_page_token
    second = await used.usage.ListUsageRecords(request)
    assert [record.operation_id for record in (*first.usage_records, *second.usage_records)] == [
        "4",
        "3",
        "2",
        "1",
    ]
    assert second.next_page_token == ""


async def test_records_of_one_operation(used: Any) -> None:
    (record,) = await used.records("3")
    assert (record.user, record.cost_nanos) == ("bob", 10_000)
    assert record.end_time.ToDatetime(UTC) == datetime(2026, 1, 1, 1, 0, 1, tzinfo=UTC)
    assert len(await used.records("3", organization="other")) == 0


async def test_postgresql_gives_the_answers_that_sqlite_gives(
    used: Any, start: Any, tools: Any, postgres_url: str
) -> None:
    async with start(database_url=postgres_url) as (other, _server):
        await _use(other, tools)
        dimensions = usage_pb2.UsageDimension.values()[1:]
        for group_by in ((), *zip(dimensions, strict=True), *combinations(dimensions, 3)):
            assert await _query(other, group_by) == await _query(used, group_by)
        request = usage_service_pb2.ListUsageRecordsRequest(parent="organizations/acme", page_size=2)
        for _ in range(2):
            answer = await used.usage.ListUsageRecords(request)
            assert await other.usage.ListUsageRecords(request) == answer
            request.page_token = answer.next_page_token


async def test_prices_that_hold_now_are_listed_by_sku_in_pages(billing: Any) -> None:
    request = price_service_pb2.ListPricesRequest(page_size=3)
    first = await billing.prices.ListPrices(request)
    request.page_token = first.next_page_token
    second = await billing.prices.ListPrices(request)
    prices = [*first.prices, *second.prices]
    assert [price.sku for price in prices] == [
        "test/cheap",
        "test/dear",
        "test/free",
        "test/model",
        "test/odd",
        "test/ruinous",
    ]
    assert prices[3].input_nanos_per_million == 1_000_000_000
    assert len({price.book_version for price in prices}) == 1


async def test_prices_of_another_time(billing: Any) -> None:
    request = price_service_pb2.ListPricesRequest()
    request.as_of_time.FromDatetime(datetime(2024, 12, 31, tzinfo=UTC))
    assert len((await billing.prices.ListPrices(request)).prices) == 0


def _request(
    group_by: Any = (), start: int | None = None, end: int | None = None
) -> usage_service_pb2.QueryUsageRequest:
    request = usage_service_pb2.QueryUsageRequest(
        parent="organizations/acme", group_by=group_by, tag_key="project"
    )
    if start is not None:
        request.start_time.seconds = start
    if end is not None:
        request.end_time.seconds = end
    return request


async def _query(used: Any, group_by: Any = (), start: int | None = None, end: int | None = None) -> Any:
    return await used.usage.QueryUsage(_request(group_by, start, end))
