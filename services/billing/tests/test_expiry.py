"""Leases that run out, with a clock that moves when told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest_asyncio
from penstock_billing import wire
from penstock_billing.clock import to_us
from penstock_billing.commands import Expire, Extend
from penstock_billing.group_commit import GroupLimits
from penstock_billing.ledger import HoldState
from penstock_billing.prices import read_price_book
from penstock_billing.record import Recorder
from penstock_billing.settings import BillingSettings
from penstock_billing.sweep import PASSES_MAX, Sweeper, SweepLimits
from penstock_billing.transactions import Transactions, open_transactions
from servicekit.metrics import Metrics
from structlog.testing import capture_logs
from testkit.clock import Clock


@dataclass(frozen=True)
class Desk:
    """The recorder and its sweeper, without a server."""

    transactions: Transactions
    recorder: Recorder
    sweeper: Sweeper


@pytest_asyncio.fixture
async def desk(settings: BillingSettings, clock: Clock) -> AsyncIterator[Desk]:
    prices = read_price_book(settings.price_book.read_text())
    async with open_transactions(settings) as transactions:
        limits = GroupLimits(transaction_items_max=64, pending_items_max=1024)
        recorder = Recorder(transactions, prices, clock, Metrics(), limits)
        yield Desk(transactions, recorder, Sweeper(transactions, recorder, clock, SweepLimits(items_max=3)))
        await recorder.aclose()


async def test_an_overdue_hold_gives_its_money_back(desk: Desk, tools: Any, clock: Clock) -> None:
    await desk.recorder.submit([wire.read_authorize(tools.authorize_item("op", lease_seconds=10))])
    clock.advance(seconds=9)
    assert await desk.sweeper.sweep() == 0
    clock.advance(seconds=1)
    with capture_logs() as logs:
        assert await desk.sweeper.sweep() == 1
        assert await desk.sweeper.sweep() == 0
    assert [(log["event"], log["count"], log["amount_nanos"]) for log in logs] == [
        ("holds_expired", 1, 2_000)
    ]


async def test_a_settlement_after_expiry_is_posted_and_flagged_once(
    desk: Desk, tools: Any, clock: Clock
) -> None:
    await desk.recorder.submit(
        [wire.read_authorize(tools.authorize_item("op", max_tokens=9, lease_seconds=10))]
    )
    clock.advance(seconds=10)
    await desk.sweeper.sweep()
    settle = wire.read_settle(tools.settle_item("op", output=4))
    first, again = await desk.recorder.submit([settle, settle])
    assert first == again
    assert (first.cost_nanos, first.late, first.state) == (8_000, True, HoldState.SETTLED)


async def test_an_extended_hold_outlives_its_first_lease(desk: Desk, tools: Any, clock: Clock) -> None:
    authorize = wire.read_authorize(tools.authorize_item("op", lease_seconds=10))
    (hold,) = await desk.recorder.submit([authorize])
    clock.advance(seconds=9)
    (extended,) = await desk.recorder.submit(
        [Extend(authorize.payer, "op", to_us(clock()) + 60_000_000, 0, 0)]
    )
    assert extended.expire_us == hold.expire_us + 59_000_000
    clock.advance(seconds=30)
    assert await desk.sweeper.sweep() == 0


async def test_a_hold_extended_after_it_was_found_overdue_stays_open(
    desk: Desk, tools: Any, clock: Clock
) -> None:
    authorize = wire.read_authorize(tools.authorize_item("op", lease_seconds=10))
    await desk.recorder.submit([authorize])
    clock.advance(seconds=10)
    extend = Extend(authorize.payer, "op", to_us(clock()) + 1, 0, 0)
    _, hold = await desk.recorder.submit([extend, Expire(authorize.payer, "op")])
    assert hold.state is HoldState.OPEN


async def test_a_sweep_works_in_batches_until_nothing_is_overdue(
    desk: Desk, tools: Any, clock: Clock
) -> None:
    items = [tools.authorize_item(f"op{number}", lease_seconds=1) for number in range(10)]
    await desk.recorder.submit([wire.read_authorize(item) for item in items])
    clock.advance(seconds=1)
    assert await desk.sweeper.sweep() == 10


async def test_a_sweep_is_bounded(desk: Desk, tools: Any, clock: Clock) -> None:
    number = 3 * PASSES_MAX + 1
    items = [tools.authorize_item(f"op{number}", lease_seconds=1) for number in range(number)]
    await desk.recorder.submit([wire.read_authorize(item) for item in items])
    clock.advance(seconds=1)
    assert await desk.sweeper.sweep() == number - 1
    assert await desk.sweeper.sweep() == 1


async def test_time_that_jumps_back_expires_nothing_and_rolls_no_budget(
    billing: Any, tools: Any, clock: Clock
) -> None:
    await billing.create_budget(10_000, period="BUDGET_PERIOD_DAY")
    await billing.authorize("1", max_tokens=2)
    await billing.settle("1", output=2)
    before = to_us(clock())
    clock.set(clock() - timedelta(days=2))
    await billing.authorize("2", max_tokens=2)
    await billing.settle("2", output=2)
    assert (await billing.budget()).spent_nanos == 8_000
    clock.set(clock() + timedelta(days=2))
    assert to_us(clock()) == before
