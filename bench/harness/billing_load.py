"""Load for billing: lists as routers send them, and single operations through the router's coalescer."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock.billing.v1 import (
    budget_pb2,
    budget_service_pb2,
    budget_service_pb2_grpc,
    hold_pb2,
    hold_service_pb2,
    hold_service_pb2_grpc,
)
from penstock.context.v1 import request_context_pb2
from servicekit.channel import connect
from servicekit.coalesce import Coalescer, CoalescerLimits
from servicekit.metrics import Metrics

CALLERS = 6
LIST_ITEMS = 128
SKU = "openai/gpt-4o-mini"
COMPLETION_TOKENS = 100
RICH_NANOS = 10**18


@dataclass(frozen=True, slots=True)
class Latency:
    """Of single calls while cycles came in at an even rate."""

    cycles_per_second: float
    p50_ms: float
    p99_ms: float


class Items:
    """Makes items of operations that were never seen before, each of the next organization."""

    def __init__(self, organizations: list[str]) -> None:
        self._organizations = itertools.cycle(organizations)
        self._numbers = itertools.count()
        self._run = f"{time.time_ns():x}"

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Give items to authorize, each with the item that settles it."""
        for organization in self._organizations:
            yield self._pair(f"{self._run}-{next(self._numbers)}", organization)

    @staticmethod
    def _pair(operation: str, organization: str) -> tuple[Any, Any]:
        context = request_context_pb2.RequestContext(
            request_id=operation, organization=organization, user="ann", api_key="k1"
        )
        authorize = hold_service_pb2.AuthorizeItem(
            context=context,
            operation_id=operation,
            skus=[SKU],
            prompt_tokens=200,
            max_tokens=3 * COMPLETION_TOKENS,
            lease=timedelta(minutes=5),
        )
        usage = hold_pb2.AttemptUsage(
            sku=SKU,
            endpoint="openai",
            outcome=hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
            tokens=hold_pb2.TokenUsage(input=200, output=COMPLETION_TOKENS),
        )
        settle = hold_service_pb2.SettleItem(
            context=context,
            operation_id=operation,
            attempts=[usage],
            model="gpt-4o-mini",
            operation="chat",
        )
        settle.end_time.GetCurrentTime()
        return authorize, settle


async def make_budget(address: str, organization: str) -> None:
    """Make the budget that everything is held against."""
    async with connect(address) as channel:
        request = budget_service_pb2.CreateBudgetRequest(
            parent=f"organizations/{organization}",
            budget_id="all",
            budget=budget_pb2.Budget(amount_nanos=RICH_NANOS, period=budget_pb2.BUDGET_PERIOD_MONTH),
        )
        await budget_service_pb2_grpc.BudgetServiceStub(channel).CreateBudget(request, wait_for_ready=True)


async def cycles_per_second(address: str, organizations: list[str], seconds: float) -> float:
    """Authorize and settle lists, several in flight, for a while."""
    async with connect(address) as channel:
        stub = hold_service_pb2_grpc.HoldServiceStub(channel)
        items = iter(Items(organizations))
        await _list(stub, items)
        begin = time.perf_counter()
        done = await asyncio.gather(*(_caller(stub, items, begin + seconds) for _ in range(CALLERS)))
        return sum(done) / (time.perf_counter() - begin)


async def _caller(stub: Any, items: Iterator[tuple[Any, Any]], until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        await _list(stub, items)
        done += LIST_ITEMS
    return done


async def _list(stub: Any, items: Iterator[tuple[Any, Any]]) -> None:
    pairs = list(itertools.islice(items, LIST_ITEMS))
    authorize, settle = zip(*pairs, strict=True)
    held = await stub.Authorize(hold_service_pb2.AuthorizeRequest(items=authorize))
    settled = await stub.Settle(hold_service_pb2.SettleRequest(items=settle))
    for result in (*held.results, *settled.results):
        if result.status.code:
            raise RuntimeError(result.status.message)


async def latency(address: str, organizations: list[str], rate: float, seconds: float) -> Latency:
    """Start a cycle every 1/rate seconds, whatever the ones before do, and time its calls."""
    async with connect(address) as channel:
        stub = hold_service_pb2_grpc.HoldServiceStub(channel)
        metrics = Metrics()
        authorize = _coalescer("Authorize", stub.Authorize, hold_service_pb2.AuthorizeRequest, metrics)
        settle = _coalescer("Settle", stub.Settle, hold_service_pb2.SettleRequest, metrics)
        taken: list[float] = []

        async def cycle(pair: tuple[Any, Any]) -> None:
            for coalescer, item in zip((authorize, settle), pair, strict=True):
                begin = time.perf_counter()
                await coalescer.submit(item)
                taken.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            started = 0
            pairs = iter(Items(organizations))
            while (now := time.perf_counter() - begin) < seconds:
                due = int(now * rate)
                for pair in itertools.islice(pairs, due - started):
                    group.create_task(cycle(pair))
                started = max(started, due)
                await asyncio.sleep(0.001)
        elapsed = time.perf_counter() - begin
        await authorize.close()
        await settle.close()
    taken.sort()
    return Latency(started / elapsed, 1000 * taken[len(taken) // 2], 1000 * taken[len(taken) * 99 // 100])


def _coalescer(name: str, method: Any, request: Any, metrics: Metrics) -> Coalescer[Any, Any]:
    async def call(items: list[Any]) -> list[Any]:
        results = (await method(request(items=items))).results
        for result in results:
            if result.status.code:
                raise RuntimeError(result.status.message)
        return list(results)

    return Coalescer(call, name=name, metrics=metrics, limits=CoalescerLimits(linger_seconds=0.002))
