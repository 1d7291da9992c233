"""A whole billing service in the test's process, and a client that reads like prose."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from penstock.billing.v1 import (
    budget_pb2,
    budget_service_pb2,
    budget_service_pb2_grpc,
    hold_pb2,
    hold_service_pb2,
    hold_service_pb2_grpc,
    invoice_service_pb2_grpc,
    limit_pb2,
    limit_service_pb2,
    limit_service_pb2_grpc,
    price_service_pb2_grpc,
    usage_correction_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
    webhook_service_pb2_grpc,
)
from penstock.context.v1 import request_context_pb2
from penstock_billing.audit import Difference, verify
from penstock_billing.clock import to_us
from penstock_billing.server import build
from penstock_billing.settings import BillingSettings
from penstock_billing.transactions import open_transactions
from servicekit.channel import connect
from servicekit.errors import from_rpc_error
from servicekit.server import Running, running
from testkit.clock import Clock
from testkit.waiting import SECONDS_MAX, until

# One prompt token costs 1,000 nanos and one answer token 2,000, so that sums can be done in the head.
PRICE_BOOK = """
prices:
  - {sku: test/model, valid_from: 2025-01-01T00:00:00Z, input: "1", output: "2"}
  - {sku: test/cheap, valid_from: 2025-01-01T00:00:00Z, input: "0.1", output: "0.2"}
  - {sku: test/dear, valid_from: 2025-01-01T00:00:00Z, input: "10", output: "20"}
  - {sku: test/ruinous, valid_from: 2025-01-01T00:00:00Z, input: "99999", output: "99999"}
  - {sku: test/odd, valid_from: 2025-01-01T00:00:00Z, input: "0.0004", output: "0.0003"}
  - {sku: test/free, valid_from: 2025-01-01T00:00:00Z, input: "0", output: "0"}
"""


class Client:
    """Billing, seen from the router."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.holds = hold_service_pb2_grpc.HoldServiceStub(channel)
        self.budgets = budget_service_pb2_grpc.BudgetServiceStub(channel)
        self.limits = limit_service_pb2_grpc.LimitServiceStub(channel)
        self.usage = usage_service_pb2_grpc.UsageServiceStub(channel)
        self.corrections = usage_correction_service_pb2_grpc.UsageCorrectionServiceStub(channel)
        self.prices = price_service_pb2_grpc.PriceServiceStub(channel)
        self.webhooks = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self.invoices = invoice_service_pb2_grpc.InvoiceServiceStub(channel)

    async def authorize(self, operation_id: str = "op", **terms: Any) -> Any:
        (result,) = await self.authorize_all([authorize_item(operation_id, **terms)])
        return result

    async def authorize_all(self, items: list[Any]) -> Any:
        return (
            await self.holds.Authorize(hold_service_pb2.AuthorizeRequest(items=items), timeout=SECONDS_MAX)
        ).results

    async def settle(self, operation_id: str = "op", **terms: Any) -> Any:
        (result,) = await self.settle_all([settle_item(operation_id, **terms)])
        return result

    async def settle_all(self, items: list[Any]) -> Any:
        return (
            await self.holds.Settle(hold_service_pb2.SettleRequest(items=items), timeout=SECONDS_MAX)
        ).results

    async def release(self, operation_id: str = "op", **who: Any) -> Any:
        item = hold_service_pb2.ReleaseItem(context=context(**who), operation_id=operation_id)
        (result,) = (await self.holds.Release(hold_service_pb2.ReleaseRequest(items=[item]))).results
        return result

    async def extend(
        self,
        operation_id: str = "op",
        *,
        expire_time: Any,
        amount_nanos: int = 0,
        max_tokens: int = 0,
        **who: Any,
    ) -> Any:
        item = hold_service_pb2.ExtendItem(
            context=context(**who),
            operation_id=operation_id,
            expire_time=expire_time,
            amount_nanos=amount_nanos,
            max_tokens=max_tokens,
        )
        (result,) = (await self.holds.Extend(hold_service_pb2.ExtendRequest(items=[item]))).results
        return result

    async def create_budget(
        self, amount_nanos: int, budget_id: str = "b", organization: str = "acme", **fields: Any
    ) -> budget_pb2.Budget:
        request = budget_service_pb2.CreateBudgetRequest(
            parent=f"organizations/{organization}",
            budget_id=budget_id,
            budget=budget_pb2.Budget(amount_nanos=amount_nanos, **fields),
        )
        return (await self.budgets.CreateBudget(request)).budget

    async def create_limit(
        self, limit_id: str, value: int, organization: str = "acme", **fields: Any
    ) -> limit_pb2.Limit:
        request = limit_service_pb2.CreateLimitRequest(
            parent=f"organizations/{organization}",
            limit_id=limit_id,
            limit=limit_pb2.Limit(value=value, **fields),
        )
        return (await self.limits.CreateLimit(request)).limit

    async def claim_lapsed(self, items_max: int = 10, claim_seconds: int = 10) -> Any:
        request = hold_service_pb2.ClaimLapsedHoldsRequest(
            items_max=items_max, claim=timedelta(seconds=claim_seconds)
        )
        return (await self.holds.ClaimLapsedHolds(request)).holds

    async def budget(self, budget_id: str = "b", organization: str = "acme") -> budget_pb2.Budget:
        name = f"organizations/{organization}/budgets/{budget_id}"
        return (await self.budgets.GetBudget(budget_service_pb2.GetBudgetRequest(name=name))).budget

    async def records(self, operation_id: str = "", organization: str = "acme") -> Any:
        request = usage_service_pb2.ListUsageRecordsRequest(
            parent=f"organizations/{organization}", operation_id=operation_id
        )
        return (await self.usage.ListUsageRecords(request)).usage_records


def context(
    organization: str = "acme", user: str = "", team: str = "", api_key: str = "", **more: Any
) -> request_context_pb2.RequestContext:
    return request_context_pb2.RequestContext(
        request_id="r", organization=organization, user=user, team=team, api_key=api_key, **more
    )


def authorize_item(
    operation_id: str,
    *,
    prompt_tokens: int = 0,
    max_tokens: int = 1,
    skus: tuple[str, ...] = ("test/model",),
    n: int = 0,
    lease_seconds: int = 60,
    deadline_time: Any = None,
    model: str = "",
    holder: str = "",
    **who: Any,
) -> hold_service_pb2.AuthorizeItem:
    return hold_service_pb2.AuthorizeItem(
        context=context(deadline_time=deadline_time, **who),
        operation_id=operation_id,
        skus=skus,
        prompt_tokens=prompt_tokens,
        max_tokens=max_tokens,
        n=n,
        lease=timedelta(seconds=lease_seconds),
        model=model,
        holder=holder,
    )


def attempt(
    sku: str = "test/model",
    number: int = 0,
    outcome: hold_pb2.AttemptOutcome = hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
    *,
    avoided_cost_nanos: int = 0,
    **tokens: int,
) -> hold_pb2.AttemptUsage:
    return hold_pb2.AttemptUsage(
        attempt=number,
        sku=sku,
        outcome=outcome,
        tokens=hold_pb2.TokenUsage(**tokens),
        endpoint="engine",
        avoided_cost_nanos=avoided_cost_nanos,
    )


def settle_item(
    operation_id: str,
    *attempts: hold_pb2.AttemptUsage,
    input: int = 0,  # noqa: A002 - the contract's name
    output: int = 0,
    end_seconds: int = 1_767_225_600,
    model: str = "model",
    metadata: dict[str, str] | None = None,
    **who: Any,
) -> hold_service_pb2.SettleItem:
    item = hold_service_pb2.SettleItem(
        context=context(**who),
        operation_id=operation_id,
        attempts=attempts or [attempt(input=input, output=output)],
        model=model,
        operation="chat",
        metadata=metadata or {},
    )
    item.end_time.seconds = end_seconds
    return item


def reason(status: status_pb2.Status) -> str:
    return info(status).reason


def retry_seconds(status: status_pb2.Status) -> int | None:
    """Give when to retry, rounded up; None where nothing says."""
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return retry.retry_delay.seconds + (retry.retry_delay.nanos > 0)
    return None


def info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    assert status.code, "the item was not refused"
    found = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


async def refused(call: Awaitable[Any]) -> str:
    """Give the reason for which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value).reason


@pytest.fixture
def tools() -> SimpleNamespace:
    """Give what tests say it with: importlib mode lets no test module import another."""
    return SimpleNamespace(
        authorize_item=authorize_item,
        settle_item=settle_item,
        attempt=attempt,
        reason=reason,
        info=info,
        retry_seconds=retry_seconds,
        client=Client,
        until=until,
    )


@pytest.fixture(name="refused")
def _refused() -> Callable[[Awaitable[Any]], Awaitable[str]]:
    return refused


@pytest.fixture
def price_book(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICE_BOOK)
    return path


@pytest.fixture
def settings(tmp_path: Path, price_book: Path) -> BillingSettings:
    return BillingSettings(
        grpc_port=0,
        data_dir=tmp_path,
        price_book=price_book,
        drain_seconds=30,
        sweep_interval_seconds=3600,
        reconcile_seconds=0,
        fold_interval_seconds=3600,
        alert_interval_seconds=3600,
    )


@asynccontextmanager
async def serve(settings: BillingSettings, clock: Clock) -> AsyncIterator[tuple[Client, Running]]:
    async with (
        build(settings, clock) as service,
        running(service) as server,
        connect(server.address) as channel,
    ):
        yield Client(channel), server


@pytest.fixture
def start(
    settings: BillingSettings, clock: Clock
) -> Callable[..., AbstractAsyncContextManager[tuple[Client, Running]]]:
    """Start a service like the test's own: another replica, or the same store again after an end."""

    def start(**changes: Any) -> AbstractAsyncContextManager[tuple[Client, Running]]:
        return serve(settings.model_copy(update=changes), clock)

    return start


@pytest_asyncio.fixture
async def billing(settings: BillingSettings, clock: Clock) -> AsyncIterator[Client]:
    """Run the service on an empty store, and check its books at the end of every test."""
    async with serve(settings, clock) as (client, _server):
        yield client
    assert await audit(settings, clock) == []


async def audit(settings: BillingSettings, clock: Clock) -> list[Difference]:
    async with open_transactions(settings) as transactions:
        return await transactions.read(partial(verify, now_us=to_us(clock())))


@pytest.fixture
def differences(settings: BillingSettings, clock: Clock) -> Callable[..., Any]:
    """Give what the audit of a store finds."""
    return lambda **changes: audit(settings.model_copy(update=changes), clock)
