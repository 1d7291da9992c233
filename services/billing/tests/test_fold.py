"""Sums of usage equal the ledger to the nano-dollar, whatever was folded when, and whatever broke."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from penstock.billing.v1 import hold_pb2, usage_pb2, usage_service_pb2
from penstock_billing.clock import DAY_US, HOUR_US, rfc3339
from penstock_billing.fold import fold
from penstock_billing.report_tables import charge_days, spend_hours, usage_pending
from penstock_billing.rollup_store import sum_spend
from penstock_billing.settings import BillingSettings
from penstock_billing.tables import entries
from penstock_billing.transactions import Transactions, open_transactions
from servicekit.errors import Unavailable
from sqlalchemy import Connection, func, select, update
from testkit.clock import Clock

BEGINNING = 1_767_225_600  # 2026-01-01T00:00:00Z, where the test clock begins
TAGS = ("project",)
DIMENSIONS: dict[int, Callable[[Any], str]] = {
    usage_pb2.USAGE_DIMENSION_MODEL: lambda record: record.model,
    usage_pb2.USAGE_DIMENSION_USER: lambda record: record.user,
    usage_pb2.USAGE_DIMENSION_TEAM: lambda record: record.team,
    usage_pb2.USAGE_DIMENSION_API_KEY: lambda record: record.api_key,
    usage_pb2.USAGE_DIMENSION_ENDPOINT: lambda record: record.endpoint,
    usage_pb2.USAGE_DIMENSION_OUTCOME: lambda record: hold_pb2.AttemptOutcome.Name(record.outcome),
    usage_pb2.USAGE_DIMENSION_HOUR: lambda record: _start(record, HOUR_US),
    usage_pb2.USAGE_DIMENSION_DAY: lambda record: _start(record, DAY_US),
    usage_pb2.USAGE_DIMENSION_TAG: lambda record: record.metadata.get("project", ""),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


@pytest.fixture
def store(settings: BillingSettings, url: str) -> BillingSettings:
    return settings.model_copy(update={"database_url": url})


@pytest.mark.parametrize("seed", range(6))
async def test_every_grouping_of_every_span_is_what_the_lines_say(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, seed: int
) -> None:
    rng = random.Random(seed)
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        for number in range(12):
            await billing.settle_all([_random_item(tools, rng, f"{number}-{each}") for each in range(6)])
            clock.advance(hours=rng.randrange(8))
            if rng.random() < 0.5:
                await transactions.write(partial(fold, tag_keys=TAGS, lines_max=rng.choice([1, 7, 100])))
        records = await _records(billing)
        for _ in range(25):
            request = _random_question(rng)
            answer = await billing.usage.QueryUsage(request)
            assert _sums(answer.rows) == _expected(records, request), request


async def test_folding_twice_adds_nothing(start: Any, tools: Any, store: BillingSettings) -> None:
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.settle_all([tools.settle_item(str(n), input=n, user="ann") for n in range(1, 6)])
        assert await _fold_all(transactions) == 5
        assert await _fold_all(transactions) == 0
        (row,) = (await billing.usage.QueryUsage(_question())).rows
        assert (row.operations, row.cost_nanos) == (5, 15_000)


async def test_a_fold_that_dies_leaves_every_line_pending(
    start: Any, tools: Any, store: BillingSettings
) -> None:
    def die(connection: Connection) -> None:
        assert fold(connection, TAGS, 100) == 3
        raise ZeroDivisionError

    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.settle_all([tools.settle_item(str(n), input=1) for n in range(3)])
        with pytest.raises(ZeroDivisionError):
            await transactions.write(die)
        assert await transactions.read(_pending) == 3
        (row,) = (await billing.usage.QueryUsage(_question())).rows
        assert (row.operations, row.cost_nanos) == (3, 3_000)
        assert await _fold_all(transactions) == 3


async def test_replicas_that_fold_at_once_count_every_line_once(
    start: Any, tools: Any, settings: BillingSettings, postgres_url: str
) -> None:
    store = settings.model_copy(update={"database_url": postgres_url})
    async with (
        start(database_url=postgres_url) as (billing, _server),
        open_transactions(store) as one,
        open_transactions(store) as two,
    ):

        async def post() -> None:
            for number in range(20):
                await billing.settle_all(
                    [tools.settle_item(f"{number}-{n}", input=1, user=f"u{n}") for n in range(10)]
                )

        async def fold_often(transactions: Transactions) -> None:
            while not posted.done():
                await _fold_some(transactions)

        posted = asyncio.ensure_future(post())
        await asyncio.gather(posted, fold_often(one), fold_often(two))
        while await one.read(_pending):
            await _fold_some(one)
        (row,) = (await billing.usage.QueryUsage(_question())).rows
        assert (row.operations, row.attempts, row.cost_nanos) == (200, 200, 200_000)
        assert await one.read(partial(_total, table=spend_hours, subject="acme")) == 200_000


async def test_an_operation_is_counted_where_its_last_try_is(
    start: Any, tools: Any, store: BillingSettings
) -> None:
    failed = tools.attempt(number=0, outcome=hold_pb2.ATTEMPT_OUTCOME_FAILED, input=5)
    served = tools.attempt(number=3, input=1, output=1)
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.settle_all([tools.settle_item("op", failed, served)])
        for lines_max in (1, 1):  # also when a fold parts its tries
            rows = (await billing.usage.QueryUsage(_question([usage_pb2.USAGE_DIMENSION_OUTCOME]))).rows
            found = {row.group[0]: (row.operations, row.attempts) for row in rows}
            assert found == {"ATTEMPT_OUTCOME_SUCCEEDED": (1, 1), "ATTEMPT_OUTCOME_FAILED": (0, 1)}
            await transactions.write(partial(fold, tag_keys=TAGS, lines_max=lines_max))


async def test_spend_and_charges_sum_to_the_revenue_of_the_ledger(
    start: Any, tools: Any, store: BillingSettings, clock: Clock
) -> None:
    rng = random.Random(7)
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        for number in range(8):
            await billing.settle_all([_random_item(tools, rng, f"{number}-{n}") for n in range(9)])
            clock.advance(hours=7)
            await transactions.write(partial(fold, tag_keys=TAGS, lines_max=20))
        for subject in ("acme", "acme/user/ann", "acme/team/red", "acme/api_key/k1"):
            spend = await transactions.read(partial(sum_spend, subject=subject, start_us=0))
            records = [each for each in await _records(billing) if _is_of(each, subject)]
            assert sum(spend.values()) == sum(each.cost_nanos for each in records) > 0
        await _fold_all(transactions)
        revenue = await transactions.read(
            lambda connection: int(connection.execute(select(func.sum(entries.c.revenue_nanos))).scalar_one())
        )
        assert await transactions.read(partial(_total, table=charge_days)) == revenue
        assert await transactions.read(partial(_total, table=spend_hours, subject="acme")) == revenue


async def test_a_budget_made_later_counts_what_was_folded_and_what_was_not(
    start: Any, tools: Any, store: BillingSettings, differences: Any
) -> None:
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.settle_all([tools.settle_item(str(n), input=1, user="ann") for n in range(3)])
        await transactions.write(partial(fold, tag_keys=TAGS, lines_max=2))
        assert (await billing.create_budget(10_000, user="ann")).spent_nanos == 3_000
        assert (await billing.create_budget(10_000, "other", user="bob")).spent_nanos == 0
    assert await differences(database_url=store.database_url) == []


async def test_the_audit_finds_a_sum_that_is_not_what_the_lines_say(
    start: Any, tools: Any, store: BillingSettings, differences: Any
) -> None:
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.settle(input=1)
        await _fold_all(transactions)
        wrong = update(charge_days).values(cost_nanos=charge_days.c.cost_nanos + 1)
        await transactions.write(lambda connection: connection.execute(wrong).rowcount)
    (found,) = await differences(database_url=store.database_url)
    assert (found.what, found.of, found.kept, found.recomputed) == ("charges", "acme", 1_001, 1_000)


async def test_a_label_that_no_sums_are_kept_of_is_refused(billing: Any, refused: Any) -> None:
    request = _question([usage_pb2.USAGE_DIMENSION_TAG])
    request.tag_key = "trace"
    assert await refused(billing.usage.QueryUsage(request)) == "INVALID_ARGUMENT"


def _random_item(tools: Any, rng: random.Random, operation_id: str) -> Any:
    outcomes = [hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED, hold_pb2.ATTEMPT_OUTCOME_FAILED]
    attempts = [
        tools.attempt(
            sku=rng.choice(["test/model", "test/cheap"]),
            number=number,
            outcome=rng.choice(outcomes),
            avoided_cost_nanos=rng.randrange(3),
            input=rng.randrange(50),
            output=rng.randrange(50),
        )
        for number in range(rng.randrange(1, 4))
    ]
    return tools.settle_item(
        operation_id,
        *attempts,
        model=rng.choice(["m1", "m2"]),
        user=rng.choice(["ann", "bob", ""]),
        team=rng.choice(["red", ""]),
        api_key=rng.choice(["k1", "k2"]),
        end_seconds=BEGINNING + rng.randrange(4 * 24 * 3600),
        metadata=rng.choice([{}, {"project": "search"}, {"project": "mail", "other": "x"}]),
    )


def _random_question(rng: random.Random) -> usage_service_pb2.QueryUsageRequest:
    request = _question(rng.sample(sorted(DIMENSIONS), rng.randrange(4)))
    start = BEGINNING + rng.randrange(2 * 24 * 3600)
    request.start_time.seconds = rng.choice([start, start // 3600 * 3600, start // 86400 * 86400])
    request.end_time.seconds = request.start_time.seconds + rng.choice([7, 3600, 5000, 86400, 200_000])
    return request


def _question(group_by: Any = ()) -> usage_service_pb2.QueryUsageRequest:
    request = usage_service_pb2.QueryUsageRequest(
        parent="organizations/acme", group_by=group_by, tag_key="project", page_size=1000
    )
    request.end_time.seconds = BEGINNING + 30 * 86400
    return request


async def _records(billing: Any) -> list[Any]:
    request = usage_service_pb2.ListUsageRecordsRequest(parent="organizations/acme", page_size=1000)
    return list((await billing.usage.ListUsageRecords(request)).usage_records)


def _expected(records: list[Any], request: usage_service_pb2.QueryUsageRequest) -> dict[Any, Any]:
    last = {each.operation_id: each.attempt for each in sorted(records, key=lambda each: each.attempt)}
    sums: dict[Any, list[int]] = defaultdict(lambda: [0] * 6)
    if not request.group_by:
        sums[()] = [0] * 6
    for each in records:
        if request.start_time.seconds <= each.end_time.seconds < request.end_time.seconds:
            row = sums[tuple(DIMENSIONS[dimension](each) for dimension in request.group_by)]
            counted = last[each.operation_id] == each.attempt
            for place, value in enumerate(
                (
                    int(counted),
                    1,
                    each.tokens.input,
                    each.tokens.output,
                    each.cost_nanos,
                    each.avoided_cost_nanos,
                )
            ):
                row[place] += value
    return dict(sums)


def _sums(rows: Any) -> dict[Any, Any]:
    return {
        tuple(row.group): [
            row.operations,
            row.attempts,
            row.tokens.input,
            row.tokens.output,
            row.cost_nanos,
            row.avoided_cost_nanos,
        ]
        for row in rows
    }


def _start(record: Any, span_us: int) -> str:

    at_us = record.end_time.seconds * 1_000_000
    return rfc3339(at_us // span_us * span_us)


def _is_of(record: Any, subject: str) -> bool:
    _, *kind_and_id = subject.split("/")
    return not kind_and_id or getattr(record, kind_and_id[0]) == kind_and_id[1]


async def _fold_all(transactions: Transactions) -> int:
    return await transactions.write(partial(fold, tag_keys=TAGS, lines_max=1000))


async def _fold_some(transactions: Transactions) -> None:

    try:
        await transactions.write(partial(fold, tag_keys=TAGS, lines_max=17))
    except Unavailable:  # it had waited for a snapshot that another fold ended
        await asyncio.sleep(0)


def _pending(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(usage_pending)).scalar_one())


def _total(connection: Connection, table: Any, subject: str = "") -> int:
    total = select(func.coalesce(func.sum(table.c.cost_nanos), 0))
    if subject:
        total = total.where(table.c.subject == subject)
    return int(connection.execute(total).scalar_one())
