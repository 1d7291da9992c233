"""What people read, composed: the services that answer, and the tasks that keep what they answer from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.billing.v1.invoice_service_pb2_grpc import add_InvoiceServiceServicer_to_server
from penstock.billing.v1.price_service_pb2_grpc import add_PriceServiceServicer_to_server
from penstock.billing.v1.usage_correction_service_pb2_grpc import (
    add_UsageCorrectionServiceServicer_to_server,
)
from penstock.billing.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from penstock.billing.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server
from servicekit.background import background
from servicekit.server import AddServicer

from penstock_billing.alerts import Alerts, open_session
from penstock_billing.clock import Clock
from penstock_billing.folder import Folder
from penstock_billing.price_watch import PriceWatch
from penstock_billing.servicer_corrections import UsageCorrectionServicer
from penstock_billing.servicer_invoices import InvoiceServicer
from penstock_billing.servicer_prices import PriceServicer
from penstock_billing.servicer_usage import UsageServicer
from penstock_billing.servicer_webhooks import WebhookServicer
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import Transactions


@asynccontextmanager
async def open_reports(
    settings: BillingSettings, transactions: Transactions, watch: PriceWatch, clock: Clock
) -> AsyncIterator[list[tuple[AddServicer, Any]]]:
    """Keep the sums while this is open, and give the services to add to the server."""
    folder = Folder(transactions, settings.allocation_tags)
    private = settings.webhook_private_addresses
    async with (
        open_session(private_addresses=private) as session,
        background(
            Alerts(transactions, session, clock, private_addresses=private).run(
                settings.alert_interval_seconds
            ),
            "billing alerts",
        ),
        background(folder.run(settings.fold_interval_seconds), "billing folder"),
        background(watch.run(), "billing price watch"),
    ):
        yield [
            (add_InvoiceServiceServicer_to_server, InvoiceServicer(transactions, clock)),
            (
                add_WebhookServiceServicer_to_server,
                WebhookServicer(transactions, clock, private_addresses=private),
            ),
            (
                add_UsageServiceServicer_to_server,
                UsageServicer(transactions, folder, clock, settings.allocation_tags),
            ),
            (
                add_UsageCorrectionServiceServicer_to_server,
                UsageCorrectionServicer(transactions, watch, clock),
            ),
            (
                add_PriceServiceServicer_to_server,
                PriceServicer(transactions, watch, clock, settings.operator_organization),
            ),
        ]
