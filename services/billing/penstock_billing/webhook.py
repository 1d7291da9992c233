"""Webhooks: what is told, how it is signed (Standard Webhooks), and where it may go."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from penstock_billing.budget import Budget
from penstock_billing.clock import DAY_US, SECOND_US, rfc3339

ALERT_PERCENTS = (50, 80, 100)
FIRST_RETRY_US = 5 * SECOND_US
LONGEST_RETRY_US = 3600 * SECOND_US
# With these waits the last try is about a day after the first.
ATTEMPTS_MAX = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an organization is told, and of how much of a budget."""

    organization: str
    webhook_id: str
    url: str
    alert_percents: tuple[int, ...]
    secret: bytes
    create_us: int
    last_error: str = ""

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/webhooks/{self.webhook_id}"


@dataclass(frozen=True, slots=True)
class Alert:
    """That so much of a budget is spent. It is the same alert for as long as its id is the same."""

    event_id: str
    body: str


def alerts_of(budget: Budget, percents: tuple[int, ...], now_us: int) -> list[Alert]:
    """Give what there is to tell of a budget: once a period, or a day of a rolling one, and anew for another amount."""
    if not budget.amount_nanos:
        return []
    period_us = now_us // DAY_US * DAY_US if budget.period.slice_us else budget.period_start_us
    return [
        Alert(
            f"{budget.budget_id}/{percent}/{period_us}/{budget.amount_nanos}", _body(budget, percent, now_us)
        )
        for percent in percents
        if budget.spent_nanos * 100 >= budget.amount_nanos * percent
    ]


def headers_of(webhook: Webhook, event_id: str, body: str, now_us: int) -> dict[str, str]:
    """Sign an event: HMAC-SHA-256 over its id, the time and the body."""
    digest = hashlib.blake2b(f"{webhook.name}/{event_id}".encode(), digest_size=16).hexdigest()
    message_id, timestamp = f"evt_{digest}", str(now_us // SECOND_US)
    signed = hmac.digest(webhook.secret, f"{message_id}.{timestamp}.{body}".encode(), "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def retry_us(attempts: int) -> int | None:
    """Give how long to wait after so many failed tries; None: give up."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return min(FIRST_RETRY_US << (attempts - 1), LONGEST_RETRY_US)


def show_secret(secret: bytes) -> str:
    """Write a secret as receivers' libraries read it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def problem_of(url: str) -> str:
    """Say why a URL may not be told anything outside this network; empty: it may."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return "it is not https"
    if not parts.hostname:
        return "it names no host"
    return "" if not _is_address(parts.hostname) or is_public(parts.hostname) else "its address is not public"


def is_public(address: str) -> bool:
    """Tell an address of the public network from those of this machine, this site, and of cloud metadata."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _body(budget: Budget, percent: int, now_us: int) -> str:
    data = {
        "budget": budget.name,
        "display_name": budget.display_name,
        "percent": percent,
        "spent_nanos": str(budget.spent_nanos),
        "amount_nanos": str(budget.amount_nanos),
        "period_start_time": rfc3339(budget.period_start_us),
    }
    event = {"type": "budget.percent_reached", "timestamp": rfc3339(now_us), "data": data}
    return json.dumps(event, sort_keys=True)
