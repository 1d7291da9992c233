"""Corrections: what was charged wrongly is reversed, what is right is posted, and everything that is kept agrees."""

import random
from functools import partial
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import (
    hold_pb2,
    invoice_service_pb2,
    usage_correction_service_pb2,
    usage_pb2,
    usage_service_pb2,
)
from penstock_billing.correction import CORRECTIONS_MAX
from penstock_billing.fold import fold
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import Transactions, open_transactions
from sqlalchemy import exc, text
from testkit.clock import Clock

BEGINNING = 1_767_225_600  # 2026-01-01T00:00:00Z, where the test clock begins
DAY = 86_400
PARENT = "organizations/acme"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, settings: BillingSettings) -> BillingSettings:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""
    return settings.model_copy(update={"database_url": url})


@pytest.mark.parametrize("folded", ["before", "after", "never"])
async def test_what_was_wrong_is_reversed_and_what_is_right_posted(
    start: Any, tools: Any, store: BillingSettings, differences: Any, folded: str
) -> None:
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.create_budget(1_000_000, team="red")
        await billing.settle_all([tools.settle_item("op", tools.attempt(input=100, output=7), team="red")])
        await _fold(transactions, folded == "before")
        right = tools.attempt(sku="test/cheap", input=30, output=7)
        made = await _correct(billing, "op", right, caller="key-1")
        await _fold(transactions, folded == "after")
        assert (made.name, made.number) == (f"{PARENT}/usageCorrections/c1", 1)
        assert (made.reversed_nanos, made.cost_nanos) == (114_000, 4_400)
        assert (made.reason, made.actor) == ("counted twice", "key-1")
        assert [_shown(record) for record in await billing.records("op")] == [
            (0, 1, False, 30, 4_400, "test/cheap"),
            (0, 1, True, 100, -114_000, "test/model"),
            (0, 0, False, 100, 114_000, "test/model"),
        ]
        (row,) = await _usage(billing)
        assert (row.operations, row.attempts, row.tokens.input, row.cost_nanos) == (1, 1, 30, 4_400)
        assert (await billing.budget()).spent_nanos == 4_400
    assert await differences(database_url=store.database_url) == []


async def test_an_operation_taken_back_as_a_whole_is_none_until_it_is_posted_again(
    billing: Any, tools: Any
) -> None:
    await billing.create_budget(1_000)
    await billing.settle("op", input=1)
    assert (await _correct(billing, "op")).cost_nanos == 0
    (row,) = await _usage(billing)
    assert (row.operations, row.attempts, row.tokens.input, row.cost_nanos) == (0, 0, 0, 0)
    assert (await billing.budget()).spent_nanos == 0
    again = await _correct(billing, "op", tools.attempt(output=1), request_id="c2")
    assert (again.number, again.reversed_nanos, again.cost_nanos) == (2, 0, 2_000)
    # It was used, so it is posted, although the budget has no room for it; nothing more is admitted.
    assert (await billing.budget()).spent_nanos == 2_000
    assert tools.reason((await billing.authorize("next")).status) == "BUDGET_EXCEEDED"


async def test_what_is_taken_back_can_be_spent_again(billing: Any, tools: Any) -> None:
    await billing.create_budget(1_000)
    await billing.settle("op", input=1)
    assert tools.reason((await billing.authorize("next", prompt_tokens=1, max_tokens=0)).status)
    await _correct(billing, "op")
    assert not (await billing.authorize("again", prompt_tokens=1, max_tokens=0)).status.code


async def test_the_same_request_corrects_once_and_another_of_its_id_is_refused(
    start: Any, tools: Any, store: BillingSettings, refused: Any, differences: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await billing.settle("op", input=5)
        first = await _correct(billing, "op", tools.attempt(input=2))
        assert await _correct(billing, "op", tools.attempt(input=2)) == first
        assert await refused(_correct(billing, "op", tools.attempt(input=3))) == "REQUEST_ID_REUSED"
        assert len(await billing.records("op")) == 3
    assert await differences(database_url=store.database_url) == []


async def test_a_settlement_that_comes_again_after_its_correction_posts_nothing(
    billing: Any, tools: Any
) -> None:
    await billing.settle("op", input=5)
    await _correct(billing, "op", tools.attempt(input=2))
    assert not (await billing.settle("op", input=5)).status.code
    assert len(await billing.records("op")) == 3


async def test_only_what_was_settled_in_the_organization_can_be_corrected(
    billing: Any, tools: Any, refused: Any
) -> None:
    await billing.settle("theirs", input=5, organization="other")
    await billing.authorize("open")
    for operation_id in ("theirs", "open", "unknown"):
        assert await refused(_correct(billing, operation_id)) == "RESOURCE_NOT_FOUND"
    await billing.settle("op", input=5)
    unpriced = tools.attempt(sku="nobody/knows", input=1)
    assert await refused(_correct(billing, "op", unpriced)) == "PRICE_UNKNOWN"
    twice = [tools.attempt(input=1), tools.attempt(input=1)]
    assert await refused(_correct(billing, "op", *twice)) == "INVALID_ARGUMENT"
    dear = tools.attempt(sku="test/ruinous", output=4_000_000_000, input=4_000_000_000)
    assert await refused(_correct(billing, "op", dear)) == "INVALID_ARGUMENT"
    assert len(await billing.records("op")) == 1


async def test_what_is_not_charged_cannot_be_taken_back_again(billing: Any, refused: Any) -> None:
    await billing.settle("op", input=5)
    await _correct(billing, "op")
    assert await refused(_correct(billing, "op", request_id="c2")) == "INVALID_ARGUMENT"


async def test_the_number_of_corrections_of_an_operation_is_bounded(
    billing: Any, tools: Any, refused: Any
) -> None:
    await billing.settle("op", input=5)
    for number in range(CORRECTIONS_MAX):
        await _correct(billing, "op", tools.attempt(input=number), request_id=f"c{number}")
    assert await refused(_correct(billing, "op", request_id="more")) == "INVALID_ARGUMENT"


async def test_a_correction_uses_the_prices_pinned_at_admission(billing: Any, tools: Any) -> None:
    await billing.authorize("op", prompt_tokens=5, skus=("test/model",))
    await billing.settle("op", input=5)
    assert (await _correct(billing, "op", tools.attempt(input=3))).cost_nanos == 3_000
    last, *_ = await billing.records("op")
    assert last.book_version
    assert not last.late


async def test_what_is_on_an_invoice_is_left_to_a_credit_note(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, refused: Any, differences: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await billing.settle("op", input=5)
        clock.advance(days=1, minutes=10)
        await billing.settle("new", input=2)
        invoice = await _invoice(billing, end=BEGINNING + DAY)
        assert await refused(_correct(billing, "op")) == "INVALID_ARGUMENT"
        assert (await _correct(billing, "new")).reversed_nanos == 2_000
        credit = invoice_service_pb2.CreditInvoiceRequest(name=invoice.name, reason="r", request_id="n1")
        assert (await billing.invoices.CreditInvoice(credit)).credit_note.total_nanos == -5_000
    assert await differences(database_url=store.database_url) == []


async def test_a_correction_of_another_day_is_on_the_invoice_of_its_own(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await billing.create_budget(10_000, period=2)
        await billing.settle("op", input=5)
        clock.advance(days=31)
        await _correct(billing, "op", tools.attempt(input=2))
        assert (await billing.budget()).spent_nanos == -3_000
        clock.advance(days=1, minutes=5)
        assert (await _invoice(billing, end=BEGINNING + 31 * DAY)).total_nanos == 5_000
        february = await _invoice(billing, end=BEGINNING + 32 * DAY)
        assert [(line.operations, line.input_tokens, line.cost_nanos) for line in february.lines] == [
            (0, -3, -3_000)
        ]
        focus = usage_service_pb2.ExportFocusRequest(parent=PARENT, start_time=Timestamp(seconds=BEGINNING))
        assert "-0.000003" in (await billing.usage.ExportFocus(focus)).csv
    assert await differences(database_url=store.database_url) == []


@pytest.mark.parametrize("seed", range(2))
async def test_sums_are_the_lines_whatever_was_corrected_and_folded_when(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any, seed: int
) -> None:
    rng = random.Random(seed)
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        await billing.create_budget(1, user="ada", period=rng.choice([0, 1, 5]), enforcement=1)
        for number in range(30):
            tries = [
                tools.attempt(rng.choice(["test/model", "test/odd"]), n, input=rng.randrange(99))
                for n in range(rng.randrange(1, 4))
            ]
            if number < 5 or rng.random() < 0.5:
                who = {"user": rng.choice(["ada", "bob"]), "end_seconds": int(clock.seconds)}
                await billing.settle_all([tools.settle_item(f"op-{number}", *tries, **who)])
            else:
                chosen = rng.choice(await billing.records()).operation_id
                await _correct(billing, chosen, *tries, request_id=f"c{number}")
            await _fold(transactions, rng.random() < 0.3, lines_max=rng.choice([3, 100]))
            clock.advance(hours=rng.randrange(5))
        records = await billing.records()
        last = {record.operation_id: record.correction for record in reversed(records)}
        right = [
            each for each in records if (each.correction, each.reversal) == (last[each.operation_id], False)
        ]
        for group_by in ([], [usage_pb2.USAGE_DIMENSION_USER], [usage_pb2.USAGE_DIMENSION_DAY]):
            rows = await _usage(billing, *group_by)
            assert sum(row.operations for row in rows) == len(last)
            assert sum(row.attempts for row in rows) == len(right)
            assert sum(row.tokens.input for row in rows) == sum(record.tokens.input for record in right)
            assert sum(row.cost_nanos for row in rows) == sum(record.cost_nanos for record in right)
    assert await differences(database_url=store.database_url) == []


async def test_corrections_come_newest_first_in_pages(billing: Any, clock: Clock) -> None:
    for number in range(3):
        await billing.settle(f"op{number}", input=1)
        await _correct(billing, f"op{number}", request_id=f"c{number}")
        clock.advance(seconds=1)
    request = usage_correction_service_pb2.ListUsageCorrectionsRequest(parent=PARENT, page_size=2)
    first = await billing.corrections.ListUsageCorrections(request)
    request.page_token = first.next_page_token
    second = await billing.corrections.ListUsageCorrections(request)
    found = [*first.usage_corrections, *second.usage_corrections]
    assert [correction.operation_id for correction in found] == ["op2", "op1", "op0"]


async def test_a_correction_never_changes(start: Any, store: BillingSettings) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await billing.settle("op", input=1)
        await _correct(billing, "op")
    async with open_transactions(store) as transactions:
        for change in ("UPDATE usage_corrections SET reason = ''", "DELETE FROM usage_corrections"):
            with pytest.raises(exc.DBAPIError, match="immutable"):
                await transactions.write(lambda c, change=change: c.execute(text(change)).rowcount)


async def _correct(
    billing: Any,
    operation_id: str,
    *attempts: hold_pb2.AttemptUsage,
    request_id: str = "c1",
    caller: str = "",
) -> Any:
    request = usage_correction_service_pb2.CreateUsageCorrectionRequest(
        parent=PARENT,
        operation_id=operation_id,
        attempts=attempts,
        reason="counted twice",
        request_id=request_id,
    )
    metadata = (("x-api-key-id", caller),) if caller else ()
    made = await billing.corrections.CreateUsageCorrection(request, metadata=metadata)
    return made.usage_correction


async def _usage(billing: Any, *group_by: usage_pb2.UsageDimension) -> Any:
    request = usage_service_pb2.QueryUsageRequest(
        parent=PARENT, group_by=group_by, start_time=Timestamp(seconds=BEGINNING)
    )
    return (await billing.usage.QueryUsage(request)).rows


async def _invoice(billing: Any, *, end: int) -> Any:
    request = invoice_service_pb2.CreateInvoiceRequest(parent=PARENT, end_time=Timestamp(seconds=end))
    return (await billing.invoices.CreateInvoice(request)).invoice


async def _fold(transactions: Transactions, now: bool, lines_max: int = 100) -> None:
    if now:
        await transactions.write(partial(fold, tag_keys=(), lines_max=lines_max))


def _shown(record: usage_pb2.UsageRecord) -> tuple[Any, ...]:
    place = (record.attempt, record.correction, record.reversal)
    return (*place, record.tokens.input, record.cost_nanos, record.sku)
