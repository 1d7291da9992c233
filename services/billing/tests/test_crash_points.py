"""kill -9 at every await of Authorize, Extend, Settle, Release and of a correction, on both stores.

`crash_points.py` lives through all of them with several callers, and dies at the first await, at the second, and so on.
By default every fourth one; PENSTOCK_CRASH_STRIDE=1 takes all of them.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from penstock.billing.v1 import invoice_service_pb2, usage_correction_service_pb2, usage_service_pb2
from penstock_billing.settings import BillingSettings
from testkit.clock import Clock

PROGRAM = Path(__file__).with_name("crash_points.py")
POINTS_MAX = 1000
STRIDE = int(os.environ.get("PENSTOCK_CRASH_STRIDE", "4"))
COST_NANOS = 6_000
CORRECTED = [2_000, -COST_NANOS, COST_NANOS]
# Of a life: less would mean that the program dies elsewhere.
AWAITS_MIN = 50
MANY = 10**15


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


async def test_kill_9_at_every_await_loses_nothing_and_charges_nothing_twice(
    start: Any, settings: BillingSettings, store: str, clock: Clock, differences: Any, tools: Any
) -> None:
    async with start(database_url=store) as (client, _server):
        await client.create_budget(10**15)
    lived = await asyncio.to_thread(_live, settings, store)
    (ended,) = lived["ended"]
    assert int(ended) > AWAITS_MIN, "every step before was a life that was killed"
    assert await differences(database_url=store) == []

    async with start(database_url=store, sweep_interval_seconds=1) as (client, _server):
        await _finish(client, tools, lived)
        corrected = await _correct(client, tools, lived)
        costs = await _costs(client)
        assert lived["settled"] <= costs.keys()
        for operation, lines in costs.items():
            assert lines == (CORRECTED if operation in corrected else [COST_NANOS])
        charged_nanos = sum(map(sum, costs.values()))
        assert (await client.budget()).spent_nanos == charged_nanos

        # Holds that nobody was told of lapse with their lease.
        clock.advance(minutes=10)
        await tools.until(lambda: _nothing_held(client))
        clock.advance(days=40)
        assert await _invoiced_nanos(client) == charged_nanos
    assert await differences(database_url=store) == []


def _live(settings: BillingSettings, database_url: str) -> dict[str, set[str]]:
    """Run the program; give operations by what was acknowledged of them, and the point behind the last await."""
    arguments = {
        "data_dir": str(settings.data_dir),
        "database_url": database_url,
        "price_book": str(settings.price_book),
        "points": list(range(1, POINTS_MAX, STRIDE)),
    }
    command = [sys.executable, str(PROGRAM), json.dumps(arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)
    lived: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        what, _, which = line.partition(" ")
        lived[what].add(which)
    return lived


async def _finish(client: Any, tools: Any, lived: dict[str, set[str]]) -> None:
    """Settle what was authorized and whose end nobody heard of, as a router's spool does; all else stays as it is."""
    for operation in sorted(lived["authorized"] - lived["settled"] - lived["released"]):
        settled = await client.settle(operation, output=3, user="ann")
        # What was settled unheard had another body, and is known.
        assert settled.cost_nanos == COST_NANOS or tools.reason(settled.status) == "REQUEST_ID_REUSED"
    for operation in sorted(lived["released"]):
        assert not (await client.release(operation, user="ann")).status.code


async def _correct(client: Any, tools: Any, lived: dict[str, set[str]]) -> set[str]:
    """Ask again for every correction that was asked for or would have been, as an operator does who got no answer."""
    wrong = {operation for operation in lived["authorized"] if "-1-" in operation}
    assert lived["corrected"] < wrong
    for operation in sorted(wrong):
        request = usage_correction_service_pb2.CreateUsageCorrectionRequest(
            parent="organizations/acme",
            operation_id=operation,
            attempts=[tools.attempt(output=1)],
            reason="counted wrongly",
            request_id=operation,
        )
        assert (await client.corrections.CreateUsageCorrection(request)).usage_correction.number == 1
    return wrong


async def _costs(client: Any) -> dict[str, list[int]]:
    """Give what each operation was charged, line by line, the newest first."""
    costs: dict[str, list[int]] = defaultdict(list)
    request = usage_service_pb2.ListUsageRecordsRequest(parent="organizations/acme", page_size=1000)
    response = await client.usage.ListUsageRecords(request)
    assert not response.next_page_token
    for record in response.usage_records:
        costs[record.operation_id].append(record.cost_nanos)
    return costs


async def _nothing_held(client: Any) -> bool:
    return (await client.budget()).held_nanos == 0


async def _invoiced_nanos(client: Any) -> int:
    request = invoice_service_pb2.CreateInvoiceRequest(parent="organizations/acme")
    request.end_time.FromJsonString("2026-02-01T00:00:00Z")
    return int((await client.invoices.CreateInvoice(request)).invoice.total_nanos)
