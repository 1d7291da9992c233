"""A program: live through operations again and again, and die by SIGKILL at one await after another.

Each life is a process of its own, forked from one that has imported everything. It writes what was acknowledged to
standard output, a line at a time, before it goes on.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from penstock.billing.v1 import hold_pb2
from penstock_billing import sqlite_writer
from penstock_billing.commands import Authorize, Command, Extend, Release, Settle
from penstock_billing.correction import CorrectionRequest
from penstock_billing.correction_store import correct_usage
from penstock_billing.group_commit import GroupLimits
from penstock_billing.ledger import Hold, Payer
from penstock_billing.price_store import seed_price_book
from penstock_billing.prices import read_price_book
from penstock_billing.record import Recorder
from penstock_billing.settings import BillingSettings
from penstock_billing.steps import Step
from penstock_billing.transactions import open_transactions
from servicekit.metrics import Metrics
from sqlalchemy import Engine, event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
LEASE_US = 60_000_000
CALLERS = 3
OUTPUT_TOKENS = 3
CORRECT_TOKENS = 1


class Fuse:
    """Kills the process when so many awaits have been passed since it was lit."""

    def __init__(self, awaits: int) -> None:
        self._left = awaits

    def light(self) -> None:
        """Begin to count: every callback of the event loop, every step in SQLite's thread, every other statement."""
        run = asyncio.Handle._run
        step_in_thread = sqlite_writer.run_on_sqlite

        def counted_run(handle: asyncio.Handle) -> None:
            self._burn()
            run(handle)

        def counted_step(connection: object, step: Step) -> object:
            self._burn()
            return step_in_thread(connection, step)

        event.listen(Engine, "before_cursor_execute", lambda *_: self._burn())
        asyncio.Handle._run = counted_run
        sqlite_writer.run_on_sqlite = counted_step

    def _burn(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def live(settings: BillingSettings, name: str, fuse: Fuse) -> None:
    """Authorize, extend, and settle or release, several callers at once; correct what one of them settled."""
    async with open_transactions(settings) as transactions:
        book = read_price_book(settings.price_book.read_text())
        prices = await transactions.write(partial(seed_price_book, book=book, now_us=NOW_US))
        limits = GroupLimits(transaction_items_max=4, pending_items_max=100)
        async with aclosing(Recorder(transactions, prices, lambda: NOW, Metrics(), limits)) as recorder:
            fuse.light()
            await asyncio.gather(*(_call(recorder, f"{name}-{caller}", caller) for caller in range(CALLERS)))
            for number in range(2):
                request = _correction(f"{name}-1-{number}")
                correct = partial(correct_usage, request=request, book=prices, now_us=NOW_US)
                await transactions.write(correct)
                _tell("corrected", [request.operation_id])


async def _call(recorder: Recorder, name: str, caller: int) -> None:
    payer = Payer("acme", "ann")
    operations = [f"{name}-{number}" for number in range(2)]
    await _record(recorder, "authorized", [_authorize(payer, each) for each in operations])
    longer = NOW_US + 2 * LEASE_US
    await _record(
        recorder, "extended", [Extend(payer, each, longer, 0, 0, max_tokens=8) for each in operations]
    )
    if caller % CALLERS:
        await _record(recorder, "settled", [_settle(payer, each) for each in operations])
    else:
        await _record(recorder, "released", [Release(payer, each) for each in operations])


async def _record(recorder: Recorder, done: str, commands: list[Command]) -> None:
    outcomes = await recorder.submit(commands)
    assert all(isinstance(outcome, Hold) for outcome in outcomes), outcomes
    _tell(done, [command.operation_id for command in commands])


def _tell(done: str, operation_ids: list[str]) -> None:
    lines = "".join(f"{done} {operation_id}\n" for operation_id in operation_ids)
    os.write(sys.stdout.fileno(), lines.encode())


def _authorize(payer: Payer, operation_id: str) -> Authorize:
    return Authorize(payer, operation_id, ("test/model",), 0, 5, 1, LEASE_US, 0, request_hash=b"1" * 16)


def _settle(payer: Payer, operation_id: str) -> Settle:
    usage = _usage(OUTPUT_TOKENS)
    return Settle(payer, operation_id, [usage], NOW_US, "model", "chat", {}, usage_hash=b"2" * 16)


def _correction(operation_id: str) -> CorrectionRequest:
    usage = _usage(CORRECT_TOKENS)
    return CorrectionRequest("acme", operation_id, [usage], "counted wrongly", operation_id, "ann")


def _usage(output_tokens: int) -> hold_pb2.AttemptUsage:
    return hold_pb2.AttemptUsage(
        sku="test/model",
        endpoint="engine",
        outcome=hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
        tokens=hold_pb2.TokenUsage(output=output_tokens),
    )


def main() -> None:
    """Live once for each point, until one lies behind the last await."""
    arguments = json.loads(sys.argv[1])
    settings = BillingSettings(
        data_dir=Path(arguments["data_dir"]),
        database_url=arguments["database_url"],
        price_book=Path(arguments["price_book"]),
    )
    for point in arguments["points"]:
        child = os.fork()
        if not child:
            asyncio.run(live(settings, f"life{point}", Fuse(point)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            os.write(sys.stdout.fileno(), f"ended {point}\n".encode())
            break
        assert status == signal.SIGKILL, status


if __name__ == "__main__":
    main()
