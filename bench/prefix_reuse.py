"""How much sooner does the first token come when many users share a long system prompt?

All users ask at the same moment over gRPC, with a system prompt of about 1,000 tokens and a question of their own.
Within one organization the system prompt is read once and reused, also by those who ask while it is being read;
organizations share nothing, so one each shows what it takes without. In service somebody has asked before.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from engines.texts import beginning
from harness.generation_report import console
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE, REPO
from harness.report import Report, rounded
from harness.turns import Worker
from matplotlib.figure import Figure
from rich.table import Table

USERS, USERS_QUICK = 32, 16
SYSTEM_TOKENS = 1000
TEXT = BENCH / "data" / "opticks.txt"
SHARED, NEW, ALONE = "shared, asked before", "shared, new", "each alone"

Waits = dict[str, list[list[float]]]


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("prefix_reuse", quick=arguments.quick)
    rounds, users = (1, USERS_QUICK) if arguments.quick else (5, USERS)
    command = [sys.executable, "-m", "engines.penstock_grpc", str(smollm2()), str(TEXT), str(os.cpu_count())]
    worker = Worker("penstock", command, cwd=BENCH, log=CACHE / "prefix_reuse.log")
    waits: Waits = {SHARED: [], NEW: [], ALONE: []}
    try:
        with console.status("loading"):
            worker.turn("about")
        for turn in range(rounds):
            for name, each in waits.items():
                with console.status(f"round {turn + 1} of {rounds}: {name}"):
                    each.append(_first_tokens_ms(worker, turn, users, name))
    finally:
        worker.stop()
    console.print(_table(waits))
    _plot(waits, report.path(".png"))
    report.finish(_figures(waits), {"users": users, "rounds": waits})


def _first_tokens_ms(worker: Worker, turn: int, users: int, case: str) -> list[float]:
    text = TEXT.read_text()
    system = beginning(text[5000 * turn :], SYSTEM_TOKENS)
    prompts = [f"{system}\n\nUser {user} asks: what is said here of light?" for user in range(users)]
    organizations = [f"{case}-{turn}" + f"-{user}" * (case == ALONE) for user in range(users)]
    if case == SHARED:
        worker.turn("burst", prompts=prompts[:1], organizations=organizations[:1], tokens=1)
    asked = worker.turn("burst", prompts=prompts, organizations=organizations, tokens=1)
    return [1e3 * seconds for seconds in asked["first_token_seconds"]]


def _figures(waits: Waits) -> dict[str, Any]:
    return {
        "prefix_ttft_ratio": rounded(_ratio(waits, SHARED)),
        "prefix_ttft_ratio_new": rounded(_ratio(waits, NEW)),
        "ttft_ms_p50_shared": rounded(_percentile(waits[SHARED], 50)),
        "ttft_ms_p95_shared": rounded(_percentile(waits[SHARED], 95)),
        "ttft_ms_p50_alone": rounded(_percentile(waits[ALONE], 50)),
        "ttft_ms_p95_alone": rounded(_percentile(waits[ALONE], 95)),
    }


def _ratio(waits: Waits, case: str) -> float:
    medians = ([statistics.median(each) for each in waits[name]] for name in (case, ALONE))
    return statistics.median(alone / shared for shared, alone in zip(*medians, strict=True))


def _table(waits: Waits) -> Table:
    shown = Table(title=f"All users ask at once, after {SYSTEM_TOKENS:,} tokens of system prompt")
    for heading in ("system prompt", "TTFT p50 ms", "TTFT p95 ms"):
        shown.add_column(heading, justify="right" if "TTFT" in heading else "left")
    for name, rounds in waits.items():
        shown.add_row(name, f"{_percentile(rounds, 50):,.0f}", f"{_percentile(rounds, 95):,.0f}")
    return shown


def _plot(waits: Waits, path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, rounds in waits.items():
        every = sorted(wait for each in rounds for wait in each)
        axis.plot(every, [(place + 1) / len(every) for place in range(len(every))], label=name)
    axis.set(
        xlabel="ms to the first token",
        ylabel="share of users",
        xscale="log",
        title=f"A system prompt of {SYSTEM_TOKENS:,} tokens",
    )
    axis.legend()
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _percentile(rounds: list[list[float]], percent: int) -> float:
    every = [wait for each in rounds for wait in each]
    return statistics.quantiles(every, n=100, method="inclusive")[percent - 1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
