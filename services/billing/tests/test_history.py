"""The bank's history: money moves at two replicas on PostgreSQL while others read, and no read is ever wrong.

Every call is noted when it begins and when it is answered. A read must see at least what was answered before it began,
and at most what had begun when it ended; in every read the accounts sum to zero and nobody has less than nothing.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from penstock.billing.v1 import budget_service_pb2

ORGANIZATIONS = ("acme", "bmce", "cmce")
AMOUNT_NANOS = 200_000
CALLERS, OPERATIONS, READERS = 12, 25, 3

_READ = """
SELECT b.organization, b.amount_nanos, b.spent_nanos, b.held_nanos, e.available, e.held, e.revenue
FROM billing.budgets AS b LEFT JOIN (
    SELECT organization, SUM(available_nanos) AS available, SUM(held_nanos) AS held, SUM(revenue_nanos) AS revenue
    FROM billing.entries GROUP BY organization
) AS e USING (organization)
"""


@dataclass
class History:
    """What was charged by calls that have begun, and by those that were answered."""

    begun: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ORGANIZATIONS, 0))
    answered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ORGANIZATIONS, 0))
    refused: int = 0
    reads: int = 0


async def test_no_read_ever_sees_money_made_lost_or_owed_by_nobody(
    start: Any, tools: Any, postgres_url: str, differences: Any
) -> None:
    history = History()
    async with start(database_url=postgres_url) as (one, _), start(database_url=postgres_url) as (two, _):
        for organization in ORGANIZATIONS:
            await one.create_budget(AMOUNT_NANOS, organization=organization)
        readers = [asyncio.create_task(_read_for_ever(postgres_url, history)) for _ in range(READERS)]
        lives = [
            _live((one, two)[caller % 2], random.Random(caller), f"{caller}", history)
            for caller in range(CALLERS)
        ]
        await asyncio.gather(*lives)
        await tools.until(lambda reads=history.reads: history.reads >= reads + READERS)
        for reader in readers:
            reader.cancel()
        ends = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
        for organization in ORGANIZATIONS:
            request = budget_service_pb2.GetBudgetRequest(name=f"organizations/{organization}/budgets/b")
            budget = (await two.budgets.GetBudget(request)).budget
            assert (budget.spent_nanos, budget.held_nanos) == (history.answered[organization], 0)
    assert history.refused
    assert await differences(database_url=postgres_url) == []


async def _live(billing: Any, rng: random.Random, caller: str, history: History) -> None:
    for number in range(OPERATIONS):
        organization, operation = rng.choice(ORGANIZATIONS), f"{caller}-{number}"
        held = await billing.authorize(operation, organization=organization, max_tokens=rng.randint(1, 12))
        if held.status.code:
            history.refused += 1
        elif rng.random() < 0.3:
            await billing.release(operation, organization=organization)
        else:
            output = rng.randint(0, held.max_tokens)
            history.begun[organization] += output * 2_000
            settled = await billing.settle(operation, organization=organization, output=output)
            assert settled.cost_nanos == output * 2_000
            history.answered[organization] += settled.cost_nanos


async def _read_for_ever(url: str, history: History) -> None:
    connection = await asyncpg.connect(url)
    try:
        while True:
            least = dict(history.answered)
            rows = await connection.fetch(_READ)  # one statement sees one moment
            for row in rows:
                organization = row["organization"]
                assert row["spent_nanos"] == (row["revenue"] or 0)
                assert row["held_nanos"] == (row["held"] or 0)
                assert (row["available"] or 0) + row["held_nanos"] + row["spent_nanos"] == 0
                assert row["amount_nanos"] - row["spent_nanos"] - row["held_nanos"] >= 0
                assert least[organization] <= row["spent_nanos"] <= history.begun[organization]
            history.reads += 1
    finally:
        await connection.close()
