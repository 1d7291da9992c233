"""WebhookService: wire to webhooks, and back."""

import secrets
from functools import partial
from typing import Any

from penstock.billing.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc
from servicekit.errors import InvalidArgument

from penstock_billing import resources
from penstock_billing.clock import Clock, to_timestamp, to_us
from penstock_billing.transactions import Transactions
from penstock_billing.webhook import ALERT_PERCENTS, Webhook, problem_of, show_secret
from penstock_billing.webhook_store import Standing, create_webhook, delete_webhook, list_webhooks

SECRET_BYTES = 32


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Webhooks, from the store."""

    def __init__(self, transactions: Transactions, clock: Clock, *, private_addresses: bool) -> None:
        self._transactions = transactions
        self._clock = clock
        self._private_addresses = private_addresses

    async def CreateWebhook(
        self, request: webhook_service_pb2.CreateWebhookRequest, _context: Any
    ) -> webhook_service_pb2.CreateWebhookResponse:
        """Make a webhook with a secret of its own."""
        problem = "" if self._private_addresses else problem_of(request.webhook.url)
        if problem or not request.webhook.url:
            message = f"The URL cannot be used: {problem or 'it is empty'}."
            raise InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": "webhook.url"})
        webhook = Webhook(
            organization=resources.read_parent(request.parent),
            webhook_id=request.webhook_id,
            url=request.webhook.url,
            alert_percents=tuple(sorted(request.webhook.alert_percents)) or ALERT_PERCENTS,
            secret=secrets.token_bytes(SECRET_BYTES),
            create_us=to_us(self._clock()),
        )
        await self._transactions.write(partial(create_webhook, webhook=webhook))
        return webhook_service_pb2.CreateWebhookResponse(
            webhook=_write(webhook, Standing(0, 0)), secret=show_secret(webhook.secret)
        )

    async def ListWebhooks(
        self, request: webhook_service_pb2.ListWebhooksRequest, _context: Any
    ) -> webhook_service_pb2.ListWebhooksResponse:
        """Give all webhooks of an organization."""
        find = partial(list_webhooks, organization=resources.read_parent(request.parent))
        found = await self._transactions.read(find)
        return webhook_service_pb2.ListWebhooksResponse(
            webhooks=[_write(webhook, standing) for webhook, standing in found]
        )

    async def DeleteWebhook(
        self, request: webhook_service_pb2.DeleteWebhookRequest, _context: Any
    ) -> webhook_service_pb2.DeleteWebhookResponse:
        """End a webhook."""
        _, organization, _, webhook_id = request.name.split("/")
        end = partial(delete_webhook, organization=organization, webhook_id=webhook_id)
        await self._transactions.write(end)
        return webhook_service_pb2.DeleteWebhookResponse()


def _write(webhook: Webhook, standing: Standing) -> webhook_pb2.Webhook:
    return webhook_pb2.Webhook(
        name=webhook.name,
        url=webhook.url,
        alert_percents=webhook.alert_percents,
        create_time=to_timestamp(webhook.create_us),
        pending_events=standing.pending,
        failed_events=standing.failed,
        last_error=webhook.last_error,
    )
