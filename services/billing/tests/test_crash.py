"""kill -9 under load: what was acknowledged is there once, and what is sent again gets the same answer."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from penstock_billing.settings import BillingSettings
from servicekit.channel import connect
from testkit.process import ChildProcess, free_port

CALLERS = 16
KILLS = 2
LIST_ITEMS = 4
COST_NANOS = 6_000


class Caller:
    """Authorizes and settles for ever, and remembers every answer that it got."""

    def __init__(self, name: str, tools: Any) -> None:
        self._name = name
        self._tools = tools
        self.authorized: dict[str, list[Any]] = {}
        self.settled: dict[str, list[Any]] = {}

    async def run(self, client: Any, round_number: int) -> None:
        for number in range(100_000):
            key = f"{self._name}-{round_number}-{number}"
            self.authorized[key] = await self.authorize(client, key)
            self.settled[key] = await self.settle(client, key)

    async def authorize(self, client: Any, key: str) -> list[Any]:
        items = [self._tools.authorize_item(f"{key}-{item}", max_tokens=5) for item in range(LIST_ITEMS)]
        return list(await client.authorize_all(items))

    async def settle(self, client: Any, key: str) -> list[Any]:
        items = [self._tools.settle_item(f"{key}-{item}", output=3) for item in range(LIST_ITEMS)]
        return list(await client.settle_all(items))


async def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(
    settings: BillingSettings, tools: Any, tmp_path: Path, differences: Any
) -> None:
    callers = [Caller(f"caller{number}", tools) for number in range(CALLERS)]
    for kill in range(KILLS):
        async with _child(settings, tools, tmp_path) as (process, client):
            if kill == 0:
                await client.create_budget(10**15)
            running = [asyncio.create_task(caller.run(client, kill)) for caller in callers]
            lists = CALLERS * 2 * (kill + 1)
            await tools.until(lambda lists=lists: _acknowledged(callers) >= lists)
            process.kill()
            await asyncio.gather(*running, return_exceptions=True)
        assert await differences() == []
    async with _child(settings, tools, tmp_path) as (process, client):
        for caller in callers:
            await _send_again(caller, client)
        budget = await client.budget()
        settled = sum(len(answers) for caller in callers for answers in caller.settled.values())
        assert budget.spent_nanos >= settled * COST_NANOS >= CALLERS * COST_NANOS
        process.terminate()
        assert await asyncio.to_thread(process.wait) == 0
    with ChildProcess(
        [sys.executable, "-m", "penstock_billing.audit"], tmp_path / "audit.log", env=_environment(settings)
    ) as auditor:
        assert await asyncio.to_thread(auditor.wait) == 0, auditor.output()
        assert auditor.output() == "0 differences\n"


async def test_shutdown_drains_usage(settings: BillingSettings, tools: Any, tmp_path: Path) -> None:
    """What was accepted when the process is told to stop is recorded and answered before it ends."""
    async with _child(settings, tools, tmp_path) as (process, client):
        await client.create_budget(10**15)
        calls = [asyncio.create_task(client.settle(f"op{number}", output=3)) for number in range(200)]
        await tools.until(lambda: any(call.done() for call in calls))
        process.terminate()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.to_thread(process.wait) == 0
    answered = [end for end in ends if not isinstance(end, BaseException)]
    assert {answer.cost_nanos for answer in answered} == {COST_NANOS}
    async with _child(settings, tools, tmp_path) as (_process, client):
        spent_nanos = (await client.budget()).spent_nanos
        assert spent_nanos >= len(answered) * COST_NANOS > 0
        # The rest was turned away before it was accepted, and is one charge when it is sent again.
        await asyncio.gather(*(client.settle(f"op{number}", output=3) for number in range(200)))
        assert (await client.budget()).spent_nanos == 200 * COST_NANOS


async def _send_again(caller: Caller, client: Any) -> None:
    """Settled lists answer as they did. Others were killed before their settlement was seen: it may be there or not."""
    for key, answers in caller.settled.items():
        assert await caller.settle(client, key) == answers
        assert {answer.cost_nanos for answer in answers} == {COST_NANOS}
    for key in caller.authorized.keys() - caller.settled.keys():
        for first, again in zip(caller.authorized[key], await caller.authorize(client, key), strict=True):
            assert again == first or again.status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert {answer.cost_nanos for answer in await caller.settle(client, key)} == {COST_NANOS}


def _acknowledged(callers: list[Caller]) -> int:
    return sum(len(caller.authorized) + len(caller.settled) for caller in callers)


@asynccontextmanager
async def _child(
    settings: BillingSettings, tools: Any, directory: Path
) -> AsyncIterator[tuple[ChildProcess, Any]]:
    """Run billing in a process of its own, on the test's store."""
    port = free_port()
    env = {
        **_environment(settings),
        "PENSTOCK_BILLING_GRPC_PORT": str(port),
        "PENSTOCK_BILLING_HTTP_PORT": "0",
    }
    command = [sys.executable, "-m", "penstock_billing"]
    with ChildProcess(command, directory / "billing.log", env=env) as process:
        await asyncio.to_thread(process.wait_for_port, port)
        async with connect(f"127.0.0.1:{port}") as channel:
            yield process, tools.client(channel)


def _environment(settings: BillingSettings) -> dict[str, str]:
    return {
        "PENSTOCK_BILLING_PRICE_BOOK": str(settings.price_book),
        "PENSTOCK_DATA_DIR": str(settings.data_dir),
    }
