"""Webhooks and their outbox in the database."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from servicekit.errors import AlreadyExists, InvalidArgument, NotFound
from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstock_billing.clock import SECOND_US
from penstock_billing.report_tables import is_pending, webhook_events, webhooks
from penstock_billing.rows import BUDGET, read_budget
from penstock_billing.store import lock
from penstock_billing.tables import budgets
from penstock_billing.webhook import Webhook, alerts_of, retry_us

WEBHOOKS_MAX = 8
# More alerts than these wait outside: what they tell is still true when there is room.
PENDING_MAX = 1000
ERROR_CHARACTERS_MAX = 256
# Longer than a delivery takes: meanwhile no other replica sends it.
CLAIM_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Standing:
    """How the events of a webhook fare."""

    pending: int
    failed: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event to send, and how often it will have been tried then."""

    webhook: Webhook
    event_id: str
    body: str
    attempts: int


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
    found = select(*_COLUMNS).where(webhooks.c.organization == organization).order_by(webhooks.c.webhook_id)
    read = (_read(row) for row in connection.execute(found))
    return [(webhook, standings.get(webhook.webhook_id, Standing(0, 0))) for webhook in read]


def delete_webhook(connection: Connection, organization: str, webhook_id: str) -> None:
    """End a webhook with all its events.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    connection.execute(delete(webhook_events).where(*_of(webhook_events, organization, webhook_id)))
    gone = connection.execute(delete(webhooks).where(*_of(webhooks, organization, webhook_id)))
    if not gone.rowcount:
        name = f"organizations/{organization}/webhooks/{webhook_id}"
        raise NotFound("RESOURCE_NOT_FOUND", "There is no such webhook.", metadata={"name": name})


def put_alerts(connection: Connection, now_us: int) -> int:
    """Put what is to be told of all budgets into the outbox, each alert once; gives how many are new."""
    waiting = select(func.count()).select_from(webhook_events).where(is_pending)
    room = PENDING_MAX - int(connection.scalar(waiting) or 0)
    rows: list[dict[str, Any]] = []
    for webhook, alert in _alerts(connection, now_us):
        if len(rows) >= room:
            break
        rows.append(
            {
                "organization": webhook.organization,
                "webhook_id": webhook.webhook_id,
                "event_id": alert.event_id,
                "body": alert.body,
                "create_us": now_us,
                "attempts": 0,
                "next_us": now_us,
                "pending": True,
                "failed": False,
            }
        )
    if rows:
        put = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(put(webhook_events).on_conflict_do_nothing(), rows)
    return len(rows)


def claim_events(connection: Connection, now_us: int, items_max: int) -> list[Event]:
    """Take events that are due, the longest due first; nobody else gets them for a minute."""
    due = (
        select(*_COLUMNS, webhook_events.c.event_id, webhook_events.c.body, webhook_events.c.attempts)
        .join_from(
            webhook_events,
            webhooks,
            (webhooks.c.organization == webhook_events.c.organization)
            & (webhooks.c.webhook_id == webhook_events.c.webhook_id),
        )
        .where(is_pending, webhook_events.c.next_us <= now_us)
        .order_by(webhook_events.c.next_us)
        .limit(items_max)
        .with_for_update(skip_locked=True, of=webhook_events)
    )
    events = []
    for row in connection.execute(due):
        *webhook, event_id, body, attempts = row
        events.append(Event(_read(webhook), event_id, body, attempts + 1))
    for event in events:
        taken = {"attempts": event.attempts, "next_us": now_us + CLAIM_US}
        connection.execute(update(webhook_events).where(*_is(event)).values(taken))
    return events


def keep_results(connection: Connection, results: Iterable[tuple[Event, str]], now_us: int) -> None:
    """Keep what became of events: an error, or empty when it was delivered."""
    for event, error in results:
        wait_us = retry_us(event.attempts) if error else None
        pending = wait_us is not None
        state: dict[str, Any] = {"pending": pending, "failed": bool(error) and not pending}
        if wait_us is not None:
            state["next_us"] = now_us + wait_us
        connection.execute(update(webhook_events).where(*_is(event)).values(state))
        of = _of(webhooks, event.webhook.organization, event.webhook.webhook_id)
        connection.execute(update(webhooks).where(*of).values(last_error=error[:ERROR_CHARACTERS_MAX]))


_COLUMNS = [webhooks.c[name] for name in Webhook.__dataclass_fields__]


def _alerts(connection: Connection, now_us: int) -> Iterator[tuple[Webhook, Any]]:
    """Find what was never told, of every budget of an organization that has webhooks."""
    found = select(*_COLUMNS, *(budgets.c[name] for name in BUDGET)).join_from(
        webhooks, budgets, budgets.c.organization == webhooks.c.organization
    )
    told = {
        tuple(row)
        for row in connection.execute(
            select(
                webhook_events.c.organization, webhook_events.c.webhook_id, webhook_events.c.event_id
            ).join_from(
                webhook_events,
                budgets,
                (budgets.c.organization == webhook_events.c.organization)
                & webhook_events.c.event_id.startswith(budgets.c.budget_id + "/"),
            )
        )
    }
    for row in connection.execute(found).all():
        webhook, budget = _read(row[: len(_COLUMNS)]), read_budget(row[len(_COLUMNS) :])
        budget.roll(now_us)
        for alert in alerts_of(budget, webhook.alert_percents, now_us):
            if (webhook.organization, webhook.webhook_id, alert.event_id) not in told:
                yield webhook, alert


def _read(row: Any) -> Webhook:
    organization, webhook_id, url, percents, *rest = row
    return Webhook(organization, webhook_id, url, tuple(map(int, percents.split(","))), *rest)


def _of(table: Any, organization: str, webhook_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.organization == organization, table.c.webhook_id == webhook_id


def _is(event: Event) -> tuple[ColumnElement[bool], ...]:
    webhook = event.webhook
    of = _of(webhook_events, webhook.organization, webhook.webhook_id)
    return (*of, webhook_events.c.event_id == event.event_id)
