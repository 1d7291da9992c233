"""Ten million usage lines in a store, and how long questions about them take.

The lines are rows as billing writes them, loaded in bulk; the store's trigger notes them, and they are folded as
billing folds them, into the sums that questions are answered from.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
from penstock.billing.v1 import hold_pb2, usage_pb2
from penstock_billing.clock import DAY_US
from penstock_billing.fold import fold
from penstock_billing.partitions import make_days
from penstock_billing.rollup_store import UsageQuestion, sum_usage
from penstock_billing.rows import USAGE_LINE, usage_row
from penstock_billing.settings import BillingSettings
from penstock_billing.statements import Row
from penstock_billing.store import SAVE_USAGE
from penstock_billing.sums import SUMS
from penstock_billing.tables import usage_lines
from penstock_billing.transactions import Transactions, open_transactions
from penstock_billing.usage import UsageLine, total_nanos
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import text

# Also how many are folded at once: more than billing does, which keeps SQLite's writer free for admissions.
BATCH_LINES = 50_000
START_US = 1_767_225_600_000_000
DAYS = 30
TIMES = 7
CACHED_ONE_IN = 17
QUESTIONS = {
    "month by model and day": (usage_pb2.USAGE_DIMENSION_MODEL, usage_pb2.USAGE_DIMENSION_DAY),
    "month by hour": (usage_pb2.USAGE_DIMENSION_HOUR,),
    "month by user": (usage_pb2.USAGE_DIMENSION_USER,),
    "month by team and model": (usage_pb2.USAGE_DIMENSION_TEAM, usage_pb2.USAGE_DIMENSION_MODEL),
    "month by label": (usage_pb2.USAGE_DIMENSION_TAG,),
}
_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("lines"),
    TimeRemainingColumn(),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """For how long lines were folded, and what they cost."""

    folding_seconds: float
    cost_nanos: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and the median time of its answer."""

    question: str
    milliseconds: float


def measure(database_url: str, directory: Path, lines: int) -> tuple[list[Answered], float]:
    """Give the times of questions on a new store with so many lines, and how many lines a second were folded."""
    return asyncio.run(_measure(BillingSettings(database_url=database_url, data_dir=directory), lines))


async def _measure(settings: BillingSettings, lines: int) -> tuple[list[Answered], float]:
    async with open_transactions(settings, command_seconds_max=None) as transactions:
        filled = await _fill(transactions, settings, lines)
        await _check(transactions, lines, filled.cost_nanos)
        answered = [await _ask(transactions, name, group_by) for name, group_by in QUESTIONS.items()]
    return answered, lines / filled.folding_seconds


async def _fill(transactions: Transactions, settings: BillingSettings, lines: int) -> Filled:
    folding_seconds, cost_nanos = 0.0, 0
    await transactions.write(partial(make_days, now_us=START_US, days=DAYS))
    with Progress(*_COLUMNS) as progress:
        bar = progress.add_task("PostgreSQL" if settings.database_url else "SQLite", total=lines)
        for first in range(0, lines, BATCH_LINES):
            posted = [_line(n, lines) for n in range(first, min(first + BATCH_LINES, lines))]
            await _load(transactions, settings, [usage_row(line) for line in posted])
            begin = time.perf_counter()
            while await transactions.write(partial(fold, tag_keys=("project",), lines_max=BATCH_LINES)):
                pass
            folding_seconds += time.perf_counter() - begin
            cost_nanos += total_nanos(posted)
            progress.advance(bar, len(posted))
    if settings.database_url:
        await transactions.write(lambda connection: connection.execute(text("ANALYZE")))
    return Filled(folding_seconds, cost_nanos)


async def _load(transactions: Transactions, settings: BillingSettings, rows: Sequence[Row]) -> None:
    """Load rows as the store does it fastest; the trigger notes them as any others."""
    if not settings.database_url:
        await transactions.write(partial(SAVE_USAGE.execute, rows=rows))
        return
    path = {"search_path": settings.service}
    connection = await asyncpg.connect(settings.database_url, server_settings=path)
    await connection.copy_records_to_table(usage_lines.name, records=rows, columns=USAGE_LINE)
    await connection.close()


def _line(n: int, lines: int) -> UsageLine:
    """Give a line of a month: 200 users in 10 teams ask 5 models; one in 17 came from the cache."""
    cached = n % CACHED_ONE_IN == 0
    cost_nanos = n % 1000 + 2 * (n % 300)
    at_us = START_US + n * (DAYS * DAY_US // lines)
    return UsageLine(
        organization="acme",
        operation_id=f"op-{n:012}",
        attempt=0,
        user_id=f"user-{n % 200}",
        team_id=f"team-{n % 10}",
        api_key_id=f"key-{n % 200}",
        model=f"model-{n % 5}",
        sku=f"sku-{n % 5}",
        endpoint="endpoint",
        operation="chat",
        input_tokens=n % 1000,
        cache_read_tokens=0,
        cache_write_tokens=0,
        output_tokens=n % 300,
        reasoning_tokens=0,
        cost_nanos=0 if cached else cost_nanos,
        avoided_cost_nanos=cost_nanos if cached else 0,
        outcome=hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT if cached else hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
        estimated=False,
        late=False,
        end_us=at_us,
        post_us=at_us,
        book_version="book",
        metadata={"project": "search"},
    )


async def _check(transactions: Transactions, lines: int, cost_nanos: int) -> None:
    """Make sure that the sums are what was posted before they are admired."""
    (row,) = await transactions.read(partial(sum_usage, question=_question(()), offset=0, items_max=1))
    found = dict(zip(SUMS, row, strict=True))
    if (found["attempts"], found["cost_nanos"]) != (lines, cost_nanos):
        raise SystemExit(f"the sums {found} are not the {lines} lines that cost {cost_nanos}")


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
