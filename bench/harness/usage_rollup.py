"""Ten million usage lines in a store, and how long questions about them take.

The database makes the lines by itself; the trigger notes them, and they are folded as billing folds them, into the sums
that questions are answered from.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penstock.billing.v1 import usage_pb2
from penstock_billing.fold import fold
from penstock_billing.rollup_store import UsageQuestion, sum_usage
from penstock_billing.settings import BillingSettings
from penstock_billing.sums import SUMS
from penstock_billing.transactions import Transactions, open_transactions
from sqlalchemy import Connection, text

# A statement of PostgreSQL may take 10 s.
BATCH_LINES = 50_000
# More than billing folds at a time, which keeps SQLite's writer free for admissions.
FOLD_LINES = 50_000
START_US = 1_767_225_600_000_000
DAYS = 30
DAY_US = 86_400_000_000
TIMES = 7

# 200 users in 10 teams ask 5 models for a month; one line in 17 came from the cache.
_POST = """
INSERT INTO usage_lines SELECT
  'op-' || n, 'acme', 0, 'user-' || n % 200, 'team-' || n % 10, 'key-' || n % 200, 'model-' || n % 5, 'sku-' || n % 5,
  'endpoint', 'chat', n % 1000, 0, 0, n % 300, 0, n % 1000 + 2 * (n % 300), 0, CASE WHEN n % 17 = 0 THEN 4 ELSE 1 END,
  false, false, {at}, {at}, 'book', '{{"project": "search"}}'
FROM {numbers}
"""
_NUMBERS = {
    "postgresql": "generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s)",
}
QUESTIONS = {
    "month by model and day": (usage_pb2.USAGE_DIMENSION_MODEL, usage_pb2.USAGE_DIMENSION_DAY),
    "month by hour": (usage_pb2.USAGE_DIMENSION_HOUR,),
    "month by user": (usage_pb2.USAGE_DIMENSION_USER,),
    "month by team and model": (usage_pb2.USAGE_DIMENSION_TEAM, usage_pb2.USAGE_DIMENSION_MODEL),
    "month by label": (usage_pb2.USAGE_DIMENSION_TAG,),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and the median time of its answer."""

    question: str
    milliseconds: float


def measure(database_url: str, directory: Path, lines: int) -> tuple[list[Answered], float]:
    """Give the times of questions on a new store with so many lines, and how many lines a second were folded."""
    return asyncio.run(_measure(BillingSettings(database_url=database_url, data_dir=directory), lines))


async def _measure(settings: BillingSettings, lines: int) -> tuple[list[Answered], float]:
    async with open_transactions(settings) as transactions:
        folding = 0.0
        for first in range(0, lines, BATCH_LINES):
            last = min(first + BATCH_LINES, lines) - 1
            await transactions.write(partial(_post, first=first, last=last, lines=lines))
            begin = time.perf_counter()
            while await transactions.write(partial(fold, tag_keys=("project",), lines_max=FOLD_LINES)):
                pass
            folding += time.perf_counter() - begin
        if settings.database_url:
            await transactions.write(partial(_analyze))
        await _check(transactions, lines)
        return [
            await _ask(transactions, name, group_by) for name, group_by in QUESTIONS.items()
        ], lines / folding


def _post(connection: Connection, first: int, last: int, lines: int) -> None:
    at = f"{START_US} + n * {DAYS * DAY_US // lines}"
    statement = _POST.format(at=at, numbers=_NUMBERS[connection.dialect.name])
    connection.execute(text(statement), {"first": first, "last": last})


def _analyze(connection: Connection) -> None:
    connection.execute(text("ANALYZE"))


async def _check(transactions: Transactions, lines: int) -> None:
    """Make sure that the sums are what was posted before they are admired."""
    (row,) = await transactions.read(partial(sum_usage, question=_question(()), offset=0, items_max=1))
    costs = [n % 1000 + 2 * (n % 300) for n in range(3000)]  # and over again
    posted = lines // 3000 * sum(costs) + sum(costs[: lines % 3000])
    found = dict(zip(SUMS, row, strict=True))
    if (found["attempts"], found["cost_nanos"]) != (lines, posted):
        raise SystemExit(f"the sums {found} are not the {lines} lines that cost {posted}")


async def _ask(transactions: Transactions, name: str, group_by: tuple[int, ...]) -> Answered:
    ask = partial(sum_usage, question=_question(group_by), offset=0, items_max=1000)
    times = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        await transactions.read(ask)
        times.append(1000 * (time.perf_counter() - begin))
    return Answered(name, statistics.median(times))


def _question(group_by: tuple[int, ...]) -> UsageQuestion:
    tag_key = "project" if usage_pb2.USAGE_DIMENSION_TAG in group_by else ""
    return UsageQuestion("acme", START_US, START_US + DAYS * DAY_US, group_by, tag_key)
