"""The outbox of webhooks in the database: what is told to whom, until it is delivered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstock_billing.clock import SECOND_US
from penstock_billing.report_tables import is_pending, webhook_events, webhooks
from penstock_billing.rows import BUDGET, read_budget
from penstock_billing.tables import budgets
from penstock_billing.webhook import Webhook, alerts_of, retry_us
from penstock_billing.webhook_store import COLUMNS, of_webhook, read_webhook

# More alerts than these wait outside: what they tell is still true when there is room.
PENDING_MAX = 1000
ERROR_CHARACTERS_MAX = 256
# Longer than a delivery takes: meanwhile no other replica sends it.
CLAIM_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Event:
    """An event to send, and how often it will have been tried then."""

    webhook: Webhook
    event_id: str
    body: str
    attempts: int


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
        select(*COLUMNS, webhook_events.c.event_id, webhook_events.c.body, webhook_events.c.attempts)
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
        events.append(Event(read_webhook(webhook), event_id, body, attempts + 1))
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
        of = of_webhook(webhooks, event.webhook.organization, event.webhook.webhook_id)
        connection.execute(update(webhooks).where(*of).values(last_error=error[:ERROR_CHARACTERS_MAX]))


def _alerts(connection: Connection, now_us: int) -> Iterator[tuple[Webhook, Any]]:
    """Find what was never told, of every budget of an organization that has webhooks."""
    found = select(*COLUMNS, *(budgets.c[name] for name in BUDGET)).join_from(
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
        webhook, budget = read_webhook(row[: len(COLUMNS)]), read_budget(row[len(COLUMNS) :])
        budget.roll(now_us)
        for alert in alerts_of(budget, webhook.alert_percents, now_us):
            if (webhook.organization, webhook.webhook_id, alert.event_id) not in told:
                yield webhook, alert


def _is(event: Event) -> tuple[ColumnElement[bool], ...]:
    webhook = event.webhook
    of = of_webhook(webhook_events, webhook.organization, webhook.webhook_id)
    return (*of, webhook_events.c.event_id == event.event_id)
