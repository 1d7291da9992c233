"""Each is named after a defect of a gateway or a billing system in the field, and says what must hold here.

Others stand where their subject is tested: concurrent_first_requests_cannot_overdraw and full_queue_never_drops in
test_concurrency, shutdown_drains_usage in test_crash, failed_commit_is_retried in test_storage_failures (what a full
disk refused is one charge when it is sent again), float_free_money in a module of its own.
"""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import hold_pb2
from penstock_billing.prices import PriceBookError
from penstock_billing.settings import BillingSettings
from testkit.clock import Clock


async def test_unknown_price_fails_closed(billing: Any, tools: Any) -> None:
    """A model without a price is refused, also as one of several, also with a budget that would pay for anything."""
    await billing.create_budget(10**15)
    for skus in (("no/such",), ("test/model", "no/such")):
        refused = await billing.authorize("op", skus=skus)
        assert tools.reason(refused.status) == "PRICE_UNKNOWN"
        assert tools.info(refused.status).metadata["sku"] == "no/such"
    (refused,) = await billing.settle_all([tools.settle_item("op", tools.attempt("no/such", output=1))])
    assert tools.reason(refused.status) == "PRICE_UNKNOWN"
    assert (await billing.budget()).held_nanos == 0
    assert len(await billing.records()) == 0


async def test_hold_is_never_capped_to_headroom(billing: Any) -> None:
    """What is held is the worst case of what is granted: the grant shrinks, never the hold under it."""
    await billing.create_budget(7_999)
    result = await billing.authorize(prompt_tokens=1, max_tokens=50)
    assert result.max_tokens == 3
    assert result.hold.amount_nanos == 1_000 + 3 * 2_000
    settled = await billing.settle(input=1, output=3)
    assert settled.cost_nanos == result.hold.amount_nanos


async def test_hold_is_a_record_not_a_counter(billing: Any) -> None:
    """A hold never becomes spend by itself, and is given back by what it was, not by what is asked."""
    await billing.create_budget(100_000)
    await billing.authorize(max_tokens=10)
    assert (await billing.budget()).spent_nanos == 0
    await billing.settle(output=1)
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (2_000, 0)


async def test_cancel_before_acquire_refunds_nothing(billing: Any) -> None:
    """A hold that was never taken, or was refused, is never given back."""
    await billing.create_budget(10_000)
    await billing.authorize("held", max_tokens=4)
    await billing.authorize("refused", prompt_tokens=999)
    await billing.release("refused")
    await billing.release("never asked for")
    assert (await billing.budget()).held_nanos == 8_000


async def test_replay_is_one_charge(billing: Any, clock: Clock) -> None:
    """The same settlement is one charge for ever: at once, in parallel, and after a year."""
    await billing.create_budget(100_000)
    await billing.authorize(max_tokens=9)
    answers = await asyncio.gather(*(billing.settle(output=4) for _ in range(20)))
    clock.advance(days=366)
    answers.append(await billing.settle(output=4))
    assert {answer.cost_nanos for answer in answers} == {8_000}
    assert (await billing.budget()).spent_nanos == 8_000
    assert len(await billing.records()) == 1


async def test_same_id_other_body_is_error(billing: Any, tools: Any) -> None:
    await billing.authorize(max_tokens=9)
    assert tools.reason((await billing.authorize(max_tokens=8)).status) == "REQUEST_ID_REUSED"
    await billing.settle(output=4)
    for other in ({"output": 5}, {"output": 4, "model": "m2"}, {"output": 4, "end_seconds": 1}):
        refused = await billing.settle(**other)
        assert tools.reason(refused.status) == "REQUEST_ID_REUSED"
        assert dict(tools.info(refused.status).metadata) == {"request_id": "op"}
    assert (await billing.settle(output=4)).cost_nanos == 8_000


async def test_fallback_priced_at_served_model(billing: Any, tools: Any) -> None:
    """Every try is priced at its own SKU, whichever was dearest; a failure without output costs nothing."""
    hold = await billing.authorize(
        prompt_tokens=10, max_tokens=10, skus=("test/dear", "test/model", "test/cheap")
    )
    assert hold.hold.amount_nanos == 300_000
    failed = tools.attempt("test/dear", 0, hold_pb2.ATTEMPT_OUTCOME_FAILED, input=10)
    served = tools.attempt("test/cheap", 1, input=10, output=10)
    (result,) = await billing.settle_all([tools.settle_item("op", failed, served)])
    assert result.cost_nanos == 10 * 100 + 10 * 200


async def test_explicit_zero_stays_zero(billing: Any) -> None:
    """A price of zero is a price, and zero tokens are zero: nothing is put in their place."""
    await billing.create_budget(0)
    result = await billing.authorize(prompt_tokens=1_000, max_tokens=1_000, skus=("test/free",))
    assert (result.status.code, result.hold.amount_nanos, result.clamped) == (0, 0, False)
    assert (await billing.settle()).cost_nanos == 0
    (record,) = await billing.records()
    assert (record.tokens.input, record.tokens.output, record.cost_nanos) == (0, 0, 0)


async def test_a_budget_that_is_spent_exactly_admits_what_is_free_and_nothing_else(
    billing: Any, tools: Any
) -> None:
    """No rounding error sits between a budget and its last nano."""
    await billing.create_budget(25_000)
    assert (await billing.authorize("1", prompt_tokens=25, max_tokens=0)).status.code == 0
    await billing.settle("1", input=25)
    assert (await billing.budget()).spent_nanos == 25_000
    assert (
        tools.reason((await billing.authorize("2", prompt_tokens=1, max_tokens=0)).status)
        == "BUDGET_EXCEEDED"
    )


async def test_prices_are_pinned_at_admission(start: Any, settings: BillingSettings, clock: Clock) -> None:
    """A book that changes while an operation runs changes nothing for it, nor for what was settled before."""
    async with start() as (billing, _server):
        await billing.authorize(max_tokens=9)
    settings.price_book.write_text(settings.price_book.read_text().replace('"2"', '"4"'))
    async with start() as (billing, _server):
        assert (await billing.settle(output=1)).cost_nanos == 2_000
        await billing.authorize("new", max_tokens=9)
        assert (await billing.settle("new", output=1)).cost_nanos == 4_000
        new, old = await billing.records()
        assert new.book_version != old.book_version


async def test_bad_price_map_refused(start: Any, settings: BillingSettings) -> None:
    """A malformed book keeps the service from starting; it never means that everything is free."""
    settings.price_book.write_text("prices: {}")
    with pytest.raises(PriceBookError):
        async with start():
            pass


async def test_a_late_settlement_is_posted_flagged_and_counted_once(
    start: Any, tools: Any, clock: Clock
) -> None:
    """Money that came back when a lease ran out is owed again when the usage comes."""
    async with start(sweep_interval_seconds=1) as (billing, _server):
        await billing.create_budget(100_000)
        await billing.authorize(max_tokens=9, lease_seconds=1)
        clock.advance(seconds=2)

        async def expired() -> bool:
            return not (await billing.budget()).held_nanos

        await tools.until(expired)
        first = await billing.settle(output=4)
        assert (first.cost_nanos, first.late) == (8_000, True)
        assert await billing.settle(output=4) == first
        budget = await billing.budget()
        assert (budget.spent_nanos, budget.held_nanos) == (8_000, 0)
        assert (await billing.extend(expire_time=clock() + timedelta(seconds=9))).status.code


async def test_every_endpoint_is_budgeted(billing: Any, tools: Any) -> None:
    """Whatever kind of operation it is, it is held against the budget before it runs."""
    await billing.create_budget(10_000)
    kinds = {
        "chat": {"prompt_tokens": 1, "max_tokens": 1},
        "embedding": {"prompt_tokens": 2, "max_tokens": 0},
        "many answers": {"max_tokens": 1, "n": 2},
    }
    for operation, terms in kinds.items():
        assert (await billing.authorize(operation, **terms)).hold.amount_nanos > 0
    assert (await billing.budget()).held_nanos == 3_000 + 2_000 + 4_000
    for operation in kinds:
        refused = await billing.authorize(f"{operation} again", prompt_tokens=2, max_tokens=0)
        assert tools.reason(refused.status) == "BUDGET_EXCEEDED"


async def test_hold_released_on_cancel(billing: Any) -> None:
    """Callers that hang up while admission waits leave holds that a release closes, and no count behind."""
    await billing.create_budget(10**9)
    await billing.create_limit("running", 40, unit="LIMIT_UNIT_IN_FLIGHT")
    for _ in range(3):
        calls = [asyncio.create_task(billing.authorize(f"op{number}")) for number in range(40)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*(billing.release(f"op{number}") for number in range(40)))
    assert (await billing.budget()).held_nanos == 0
    admitted = [await billing.authorize(f"next{number}") for number in range(41)]
    assert [result.status.code for result in admitted[:40]] == [0] * 40
    assert admitted[40].status.code


async def test_id_minted_by_us(billing: Any) -> None:
    """Lines are told apart by our operation and try; providers' ids, missing or equal, play no part."""
    for number in range(3):
        await billing.authorize(f"op{number}")
        await billing.settle(f"op{number}", output=1)
    records = await billing.records()
    assert len({(record.operation_id, record.attempt) for record in records}) == 3
    for call in (billing.authorize, billing.settle, billing.release):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call("")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("outcome", "output", "cost"),
    [
        (hold_pb2.ATTEMPT_OUTCOME_CANCELLED, 3, 16_000),
        (hold_pb2.ATTEMPT_OUTCOME_CANCELLED, 0, 10_000),
        (hold_pb2.ATTEMPT_OUTCOME_REFUSED, 3, 16_000),
        (hold_pb2.ATTEMPT_OUTCOME_FAILED, 3, 16_000),
        (hold_pb2.ATTEMPT_OUTCOME_FAILED, 0, 0),
    ],
)
async def test_disconnect_is_billed_exactly(
    billing: Any, tools: Any, outcome: hold_pb2.AttemptOutcome, output: int, cost: int
) -> None:
    """What was produced to the moment of the break is charged, however it broke; the rest of the hold comes back."""
    await billing.create_budget(10**6)
    await billing.authorize(prompt_tokens=10, max_tokens=100)
    broken = tools.attempt("test/model", 0, outcome, input=10, output=output)
    (result,) = await billing.settle_all([tools.settle_item("op", broken)])
    assert result.cost_nanos == cost
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (cost, 0)


async def test_provider_invoice_parity(billing: Any, tools: Any) -> None:
    """As many lines as there were tries, and their sum is what the budget, the ledger and the answers say."""
    await billing.create_budget(10**9)
    answers = []
    for number in range(20):
        tries = [tools.attempt("test/dear", place, output=number) for place in range(1 + number % 3)]
        (result,) = await billing.settle_all([tools.settle_item(f"op{number}", *tries)])
        answers.append(result.cost_nanos)
    records = await billing.records()
    assert len(records) == sum(1 + number % 3 for number in range(20))
    assert sum(record.cost_nanos for record in records) == sum(answers)
    assert (await billing.budget()).spent_nanos == sum(answers)
