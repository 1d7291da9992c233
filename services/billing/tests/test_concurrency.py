"""Many callers, one budget; and replicas on one PostgreSQL."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

OPERATIONS = 1000
AFFORDABLE = 100
ANSWER_NANOS = 2000


async def test_concurrent_first_requests_cannot_overdraw(billing: Any, tools: Any) -> None:
    """1,000 operations at once, each of the same price, on a budget for 100; then the rest, to the last nano."""
    await billing.create_budget(AFFORDABLE * ANSWER_NANOS + 1)
    admitted = await _admit_all(tools, [billing])
    assert len(admitted) == AFFORDABLE
    assert (await billing.budget()).held_nanos == AFFORDABLE * ANSWER_NANOS
    used = [tools.settle_item(operation, output=1) for operation in admitted[:60]]
    unused = [tools.settle_item(operation, input=0, output=0) for operation in admitted[60:]]
    await asyncio.gather(*(billing.settle_all([item]) for item in (*used, *unused)))
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (60 * ANSWER_NANOS, 0)
    rest = await billing.authorize("rest", max_tokens=OPERATIONS)
    assert rest.max_tokens == 40
    await billing.settle("rest", output=40)
    assert tools.info((await billing.authorize("one more")).status).metadata["available_nanos"] == "1"
    assert (await billing.authorize("the last nano", max_tokens=0, skus=("test/free",), prompt_tokens=9)).hold


async def test_settling_and_admitting_at_once_keeps_to_the_budget(billing: Any, tools: Any) -> None:
    await billing.create_budget(AFFORDABLE * ANSWER_NANOS)

    async def live(number: int) -> int:
        operation = f"op{number}"
        result = await billing.authorize(operation, max_tokens=5)
        if result.status.code:
            return 0
        if number % 3 == 0:
            await billing.release(operation)
            return 0
        return int((await billing.settle(operation, output=min(number % 4, result.max_tokens))).cost_nanos)

    spent = sum(await asyncio.gather(*(live(number) for number in range(300))))
    budget = await billing.budget()
    assert (budget.spent_nanos, budget.held_nanos) == (spent, 0)
    assert spent <= AFFORDABLE * ANSWER_NANOS


async def test_lists_that_wait_share_a_transaction(start: Any, tools: Any) -> None:
    async with start() as (billing, server):
        await asyncio.gather(*(billing.authorize(f"op{number}") for number in range(64)))
        metrics = await _metrics(server)
    transactions = float(metrics["penstock_billing_transaction_items_count"])
    assert float(metrics["penstock_billing_transaction_items_sum"]) == 64
    assert transactions < 64


async def test_full_queue_never_drops(start: Any, tools: Any) -> None:
    """More than the queue takes is refused with a time to retry; what was taken is recorded."""
    async with start(pending_items_max=256, transaction_items_max=1) as (billing, _server):
        items = [[tools.authorize_item(f"{call}/{item}") for item in range(200)] for call in range(4)]
        outcomes = await asyncio.gather(*map(billing.authorize_all, items), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert 1 <= len(refused) <= 3
        assert all("Too many items" in str(error) for error in refused)


@pytest.mark.parametrize("number", [2, 4])
async def test_replicas_on_postgresql_never_overrun(
    start: Any, tools: Any, postgres_url: str, differences: Any, number: int
) -> None:
    async with AsyncExitStack() as running:
        starting = [running.enter_async_context(start(database_url=postgres_url)) for _ in range(number)]
        replicas = [(await each)[0] for each in starting]
        await replicas[0].create_budget(AFFORDABLE * ANSWER_NANOS)
        admitted = await _admit_all(tools, replicas)
        assert len(admitted) == AFFORDABLE
        settled = [tools.settle_item(operation, output=place % 2) for place, operation in enumerate(admitted)]
        everywhere = [replica.settle_all([item]) for item in settled for replica in replicas]
        costs = [result[0].cost_nanos for result in await asyncio.gather(*everywhere)]
        assert all(costs[place::number] == costs[::number] for place in range(number))
        budget = await replicas[-1].budget()
        assert (budget.spent_nanos, budget.held_nanos) == (50 * ANSWER_NANOS, 0)
        assert len(await replicas[0].records()) == AFFORDABLE
    assert await differences(database_url=postgres_url) == []


async def test_the_same_operation_at_two_replicas_is_held_once(
    start: Any, postgres_url: str, differences: Any
) -> None:
    async with start(database_url=postgres_url) as (one, _), start(database_url=postgres_url) as (two, _):
        for number in range(20):
            first, second = await asyncio.gather(one.authorize(f"op{number}"), two.authorize(f"op{number}"))
            assert first == second
    assert await differences(database_url=postgres_url) == []


async def test_a_budget_made_while_another_replica_admits_counts_every_hold(
    start: Any, tools: Any, postgres_url: str, differences: Any
) -> None:
    async with start(database_url=postgres_url) as (one, _), start(database_url=postgres_url) as (two, _):
        admitting = [one.authorize(f"op{number}") for number in range(40)]
        making = [two.create_budget(10**9, f"b{number}") for number in range(10)]
        await asyncio.gather(*admitting, *making)
        held = {(await two.budget(f"b{number}")).held_nanos for number in range(10)}
        assert held == {40 * ANSWER_NANOS}
    assert await differences(database_url=postgres_url) == []


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_the_audit_sees_one_moment_while_others_write(
    start: Any, tools: Any, differences: Any, store: str, request: pytest.FixtureRequest
) -> None:
    url = str(request.getfixturevalue("postgres_url")) if store == "postgresql" else ""

    async def live(billing: Any, caller: int) -> None:
        for number in range(100_000):
            await billing.authorize(f"{caller}-{number}")
            await billing.settle(f"{caller}-{number}", output=1)

    async with start(database_url=url) as (billing, _server):
        await billing.create_budget(10**12)
        loads = [asyncio.create_task(live(billing, caller)) for caller in range(4)]
        for _ in range(8):
            assert await differences(database_url=url) == []
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        assert (await billing.budget()).spent_nanos


async def _admit_all(tools: Any, replicas: list[Any]) -> list[str]:
    """Authorize 1,000 operations at once, in lists of one to seven, at all replicas."""
    items = [tools.authorize_item(f"op{number}") for number in range(OPERATIONS)]
    lists = []
    while items:
        size = 1 + len(lists) % 7
        lists.append(items[:size])
        del items[:size]
    calls = [replicas[place % len(replicas)].authorize_all(part) for place, part in enumerate(lists)]
    results = [result for part in await asyncio.gather(*calls) for result in part]
    assert {tools.reason(result.status) for result in results if result.status.code} == {"BUDGET_EXCEEDED"}
    return [result.hold.operation_id for result in results if not result.status.code]


async def _metrics(server: Any) -> dict[str, str]:
    reader, writer = await asyncio.open_connection(server.host, server.http_port)
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if " " in line and line[0] != "#")
