"""Alerts reach a real receiver at least once, signed, however often it fails and whoever dies."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientConnectorDNSError, web
from penstock.billing.v1 import budget_pb2, webhook_pb2, webhook_service_pb2
from penstock_billing.alerts import Alerts, open_session
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import open_transactions
from penstock_billing.webhook import ATTEMPTS_MAX, is_public, problem_of, retry_us
from testkit.clock import Clock

PARENT = "organizations/acme"
HOUR_US = 3600 * 10**6


class Receiver:
    """Somebody's server: answers with `status`, and keeps what it got."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], str]] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.text()))
        return web.Response(status=self.status, headers={"location": "/elsewhere"})

    @property
    def percents(self) -> list[int]:
        return [json.loads(body)["data"]["percent"] for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, settings: BillingSettings) -> BillingSettings:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""
    return settings.model_copy(update={"database_url": url, "webhook_private_addresses": True})


@pytest.fixture
async def world(start: Any, store: BillingSettings, clock: Clock) -> AsyncIterator[tuple[Any, Any]]:
    """Give a service, and the task that tells, to be run by hand."""
    async with (
        start(database_url=store.database_url, webhook_private_addresses=True) as (billing, _server),
        open_transactions(store) as transactions,
        open_session(private_addresses=True) as session,
    ):
        yield billing, Alerts(transactions, session, clock, private_addresses=True)


async def test_each_part_of_a_budget_is_told_once_a_period(
    world: Any, receiver: Receiver, tools: Any, clock: Clock
) -> None:
    billing, alerts = world
    await _webhook(billing, receiver)
    await billing.create_budget(10_000, period=budget_pb2.BUDGET_PERIOD_DAY)
    await alerts.tell()
    assert receiver.percents == []
    await billing.settle("1", input=5)
    await alerts.tell()
    await alerts.tell()
    assert receiver.percents == [50]
    await billing.settle("2", input=6)
    await alerts.tell()
    assert sorted(receiver.percents) == [50, 80, 100]
    clock.advance(days=1)
    await billing.settle("3", input=5)
    await alerts.tell()
    assert sorted(receiver.percents) == [50, 50, 80, 100]
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(set(ids)) == 4


async def test_what_is_sent_is_signed_as_receivers_check_it(
    world: Any, receiver: Receiver, clock: Clock
) -> None:
    billing, alerts = world
    made = await _webhook(billing, receiver)
    await billing.create_budget(1_000)
    await billing.settle(input=1)
    await alerts.tell()
    headers, body = receiver.got[0]
    assert headers["webhook-timestamp"] == str(int(clock.seconds))
    secret = base64.b64decode(made.secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    expected = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["data"]["budget"] == f"{PARENT}/budgets/b"


async def test_a_receiver_that_fails_is_tried_again_ever_later_with_the_same_id(
    world: Any, receiver: Receiver, clock: Clock
) -> None:
    billing, alerts = world
    await _webhook(billing, receiver, percents=[100])
    await billing.create_budget(1_000)
    await billing.settle(input=1)
    receiver.status = 500
    for seconds in (5, 10, 20):
        await alerts.tell()
        clock.advance(seconds=seconds - 1)
        await alerts.tell()  # too early
        clock.advance(seconds=1)
    assert len(receiver.got) == 3
    (webhook,) = await _list(billing)
    assert (webhook.pending_events, webhook.last_error) == (1, "HTTP 500")
    receiver.status = 200
    await alerts.tell()
    (webhook,) = await _list(billing)
    assert (webhook.pending_events, webhook.failed_events, webhook.last_error) == (0, 0, "")
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


async def test_after_a_day_of_failures_it_is_given_up(world: Any, receiver: Receiver, clock: Clock) -> None:
    billing, alerts = world
    await _webhook(billing, receiver, percents=[100])
    await billing.create_budget(1_000)
    await billing.settle(input=1)
    receiver.status = 302  # nobody is followed elsewhere
    for _ in range(ATTEMPTS_MAX + 3):
        await alerts.tell()
        clock.advance(hours=1)
    (webhook,) = await _list(billing)
    assert len(receiver.got) == ATTEMPTS_MAX
    assert (webhook.pending_events, webhook.failed_events, webhook.last_error) == (0, 1, "HTTP 302")


async def test_who_dies_between_claim_and_delivery_leaves_it_to_another(
    world: Any, receiver: Receiver, store: BillingSettings, clock: Clock
) -> None:
    billing, alerts = world
    await _webhook(billing, receiver, percents=[100])
    await billing.create_budget(1_000)
    await billing.settle(input=1)
    async with open_transactions(store) as transactions, open_session(private_addresses=True) as session:
        dying = Alerts(transactions, session, clock, private_addresses=True)
        dying._send = _die  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError):
            await dying.tell()
    await alerts.tell()
    assert receiver.got == []
    clock.advance(minutes=1)
    await alerts.tell()
    assert receiver.percents == [100]


async def test_the_service_tells_by_itself(
    start: Any, settings: BillingSettings, receiver: Receiver, tools: Any
) -> None:
    async with start(webhook_private_addresses=True, alert_interval_seconds=1) as (billing, _server):
        await _webhook(billing, receiver, percents=[100])
        await billing.create_budget(1_000)
        await billing.settle(input=1)
        await tools.until(lambda: receiver.percents == [100])


async def test_webhooks_are_named_once_and_end(world: Any, receiver: Receiver, refused: Any) -> None:
    billing, alerts = world
    made = await _webhook(billing, receiver)
    assert list(made.webhook.alert_percents) == [50, 80, 100]
    assert await refused(_webhook(billing, receiver)) == "RESOURCE_EXISTS"
    request = webhook_service_pb2.DeleteWebhookRequest(name=made.webhook.name)
    await billing.webhooks.DeleteWebhook(request)
    assert await refused(billing.webhooks.DeleteWebhook(request)) == "RESOURCE_NOT_FOUND"
    await billing.create_budget(1_000)
    await billing.settle(input=1)
    await alerts.tell()
    assert receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https:///hook",
        "",
    ],
)
async def test_a_webhook_leads_out_of_this_network(billing: Any, refused: Any, url: str) -> None:
    request = webhook_service_pb2.CreateWebhookRequest(
        parent=PARENT, webhook_id="w", webhook=webhook_pb2.Webhook(url=url)
    )
    assert await refused(billing.webhooks.CreateWebhook(request)) == "INVALID_ARGUMENT"


async def test_a_name_that_leads_to_a_private_address_is_not_found() -> None:
    async with open_session(private_addresses=False) as session:
        with pytest.raises(ClientConnectorDNSError):  # and not that nobody listens there
            await session.post("https://localhost:1/hook")


def test_public_addresses_are_allowed() -> None:
    assert is_public("93.184.215.14")
    assert not is_public("fe80::1%eth0")
    assert problem_of("https://example.com/hook") == ""


def test_waits_double_to_an_hour_and_end_after_a_day() -> None:
    waits = [retry_us(attempt) for attempt in range(1, ATTEMPTS_MAX + 1)]
    assert waits[:3] == [5_000_000, 10_000_000, 20_000_000]
    assert waits[-1] is None
    total_us = sum(wait for wait in waits if wait is not None)
    assert max(wait for wait in waits if wait is not None) == HOUR_US
    assert 22 * HOUR_US < total_us < 26 * HOUR_US


async def _die(_event: Any) -> str:
    raise ZeroDivisionError


async def _webhook(billing: Any, receiver: Receiver, percents: Any = ()) -> Any:
    return await billing.webhooks.CreateWebhook(
        webhook_service_pb2.CreateWebhookRequest(
            parent=PARENT,
            webhook_id="w",
            webhook=webhook_pb2.Webhook(url=receiver.url, alert_percents=percents),
        )
    )


async def _list(billing: Any) -> Any:
    request = webhook_service_pb2.ListWebhooksRequest(parent=PARENT)
    return (await billing.webhooks.ListWebhooks(request)).webhooks
