"""Webhooks in the database."""

from dataclasses import dataclass
from typing import Any

from servicekit.errors import AlreadyExists, InvalidArgument, NotFound
from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, select

from penstock_billing.report_tables import webhook_events, webhooks
from penstock_billing.store import lock
from penstock_billing.webhook import Webhook

WEBHOOKS_MAX = 8
COLUMNS = [webhooks.c[name] for name in Webhook.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the events of a webhook fare."""

    pending: int
    failed: int


def create_webhook(connection: Connection, webhook: Webhook) -> Webhook:
    """Make a webhook.

    Raises:
        AlreadyExists: there is one of that name (RESOURCE_EXISTS).
        InvalidArgument: the organization has 8 already (INVALID_ARGUMENT).
    """
    lock(connection, {webhook.organization})
    known = [each.webhook_id for each, _ in list_webhooks(connection, webhook.organization)]
    if webhook.webhook_id in known:
        raise AlreadyExists("RESOURCE_EXISTS", "There is such a webhook.", metadata={"name": webhook.name})
    if len(known) >= WEBHOOKS_MAX:
        message = f"An organization has at most {WEBHOOKS_MAX} webhooks."
        raise InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": "webhook"})
    row = {name: getattr(webhook, name) for name in Webhook.__dataclass_fields__}
    row["alert_percents"] = ",".join(map(str, webhook.alert_percents))
    connection.execute(insert(webhooks), row)
    return webhook


def list_webhooks(connection: Connection, organization: str) -> list[tuple[Webhook, Standing]]:
    """Read the webhooks of an organization, by name, and how their events fare."""
    counted = (
        select(
            webhook_events.c.webhook_id,
            func.sum(case((webhook_events.c.pending, 1), else_=0)),
            func.sum(case((webhook_events.c.failed, 1), else_=0)),
        )
        .where(webhook_events.c.organization == organization)
        .group_by(webhook_events.c.webhook_id)
    )
    standings = {row[0]: Standing(int(row[1]), int(row[2])) for row in connection.execute(counted)}
    found = select(*COLUMNS).where(webhooks.c.organization == organization).order_by(webhooks.c.webhook_id)
    read = (read_webhook(row) for row in connection.execute(found))
    return [(webhook, standings.get(webhook.webhook_id, Standing(0, 0))) for webhook in read]


def delete_webhook(connection: Connection, organization: str, webhook_id: str) -> None:
    """End a webhook with all its events.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    connection.execute(delete(webhook_events).where(*of_webhook(webhook_events, organization, webhook_id)))
    gone = connection.execute(delete(webhooks).where(*of_webhook(webhooks, organization, webhook_id)))
    if not gone.rowcount:
        name = f"organizations/{organization}/webhooks/{webhook_id}"
        raise NotFound("RESOURCE_NOT_FOUND", "There is no such webhook.", metadata={"name": name})


def read_webhook(row: Any) -> Webhook:
    """Read a row of COLUMNS."""
    organization, webhook_id, url, percents, *rest = row
    return Webhook(organization, webhook_id, url, tuple(map(int, percents.split(","))), *rest)


def of_webhook(
    table: Any, organization: str, webhook_id: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Find what is of a webhook in a table."""
    return table.c.organization == organization, table.c.webhook_id == webhook_id
