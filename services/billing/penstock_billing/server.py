"""The composition root: the only module that knows all others."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from penstock.billing.v1.budget_service_pb2_grpc import add_BudgetServiceServicer_to_server
from penstock.billing.v1.hold_service_pb2_grpc import add_HoldServiceServicer_to_server
from penstock.billing.v1.limit_service_pb2_grpc import add_LimitServiceServicer_to_server
from servicekit.background import background
from servicekit.metrics import Metrics
from servicekit.server import AddServicer, Service

from penstock_billing.claims import Claims
from penstock_billing.clock import SECOND_US, Clock, to_us, utc_now
from penstock_billing.days import keep_days_ahead
from penstock_billing.group_commit import GroupLimits
from penstock_billing.price_store import seed_price_book
from penstock_billing.price_watch import PriceWatch
from penstock_billing.prices import read_price_book
from penstock_billing.record import Recorder
from penstock_billing.reports import open_reports
from penstock_billing.servicer import HoldServicer
from penstock_billing.servicer_budgets import BudgetServicer
from penstock_billing.servicer_limits import LimitServicer
from penstock_billing.settings import BillingSettings
from penstock_billing.sweep import Sweeper, SweepLimits
from penstock_billing.transactions import open_transactions


@asynccontextmanager
async def build(settings: BillingSettings, clock: Clock = utc_now) -> AsyncIterator[Service]:
    """Compose the service; on exit everything submitted is recorded before the store closes."""
    metrics = Metrics()
    seed = read_price_book(settings.price_book.read_text())
    async with open_transactions(settings) as transactions, keep_days_ahead(transactions, clock):
        prices = await transactions.write(partial(seed_price_book, book=seed, now_us=to_us(clock())))
        limits = GroupLimits(settings.transaction_items_max, settings.pending_items_max)
        async with aclosing(Recorder(transactions, prices, clock, metrics, limits)) as recorder:
            grace_us = settings.reconcile_seconds * SECOND_US
            holds = HoldServicer(recorder, Claims(transactions, clock, grace_us))
            servicers: list[tuple[AddServicer, Any]] = [
                (add_HoldServiceServicer_to_server, holds),
                (add_BudgetServiceServicer_to_server, BudgetServicer(transactions, clock)),
                (add_LimitServiceServicer_to_server, LimitServicer(transactions, clock)),
            ]
            sweeper = Sweeper(transactions, recorder, clock, SweepLimits(settings.sweep_items_max, grace_us))
            watch = PriceWatch(transactions, prices, recorder.use)
            async with (
                background(sweeper.run(settings.sweep_interval_seconds), "billing sweeper"),
                open_reports(settings, transactions, watch, clock) as reports,
            ):
                servicers += reports
                yield Service(settings, servicers, metrics, dependencies={"database": transactions.probe})
