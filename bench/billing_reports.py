"""How long do questions about a month of usage take, when it is ten million lines?

On PostgreSQL and, a tenth of them, on SQLite. The lines are posted and folded as billing does it, and the sums are
checked before they are asked.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from harness.billing_report import console
from harness.report import Report, rounded
from harness.usage_rollup import Answered, measure
from rich.table import Table
from testkit.postgres import PostgresServer

FULL_LINES, QUICK_LINES = 10_000_000, 200_000
# SQLite gets one line in so many: its sums are nearly as many rows, for nearly every user asks in every hour.
SQLITE_SHARE = 10


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("billing_reports", quick=arguments.quick)
    lines = arguments.lines or (QUICK_LINES if arguments.quick else FULL_LINES)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        (postgres_directory := Path(directory, "postgres")).mkdir()
        with PostgresServer(postgres_directory) as postgres:
            on_postgresql, folded_a_second = measure(postgres.create_database(), Path(directory), lines)
        console.print(_table("PostgreSQL", on_postgresql, lines))
        on_sqlite, _ = measure("", Path(directory), lines // SQLITE_SHARE)
    console.print(_table("SQLite", on_sqlite, lines // SQLITE_SHARE))
    figures = {
        "rollup_ms": rounded(max(each.milliseconds for each in on_postgresql)),
        "rollup_sqlite_ms": rounded(max(each.milliseconds for each in on_sqlite)),
        "folded_lines_s": rounded(folded_a_second),
    }
    details = {
        "lines": lines,
        "sqlite_lines": lines // SQLITE_SHARE,
        "postgresql": [asdict(each) for each in on_postgresql],
    }
    report.finish(figures, details | {"sqlite": [asdict(each) for each in on_sqlite]})


def _table(store: str, answered: list[Answered], lines: int) -> Table:
    made = Table(title=f"Questions about {lines:,} usage lines on {store}", title_justify="left")
    made.add_column("question")
    made.add_column("ms", justify="right")
    for each in answered:
        made.add_row(each.question, f"{each.milliseconds:,.1f}")
    return made


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_LINES:,} lines")
    parser.add_argument("--lines", type=int, help=f"how many on PostgreSQL; default {FULL_LINES:,}")
    parser.add_argument(
        "--directory", type=Path, help="where the stores lie; default: the temporary directory"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
