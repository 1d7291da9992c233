"""What people read, composed: the services that answer, and the tasks that keep what they answer from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.billing.v1.invoice_service_pb2_grpc import add_InvoiceServiceServicer_to_server
from penstock.billing.v1.price_service_pb2_grpc import add_PriceServiceServicer_to_server
from penstock.billing.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from servicekit.background import background
from servicekit.server import AddServicer

from penstock_billing.clock import Clock
from penstock_billing.folder import Folder
from penstock_billing.price_watch import PriceWatch
from penstock_billing.servicer_invoices import InvoiceServicer
from penstock_billing.servicer_prices import PriceServicer
from penstock_billing.servicer_usage import UsageServicer
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import Transactions


@asynccontextmanager
async def open_reports(
    settings: BillingSettings, transactions: Transactions, watch: PriceWatch, clock: Clock
) -> AsyncIterator[list[tuple[AddServicer, Any]]]:
    """Keep the sums while this is open, and give the services to add to the server."""
    folder = Folder(transactions, settings.allocation_tags)
    async with (
        background(folder.run(settings.fold_interval_seconds), "billing folder"),
        background(watch.run(), "billing price watch"),
    ):
        yield [
            (add_InvoiceServiceServicer_to_server, InvoiceServicer(transactions, clock)),
            (
                add_UsageServiceServicer_to_server,
                UsageServicer(transactions, folder, clock, settings.allocation_tags),
            ),
            (
                add_PriceServiceServicer_to_server,
                PriceServicer(transactions, watch, clock, settings.operator_organization),
            ),
        ]
