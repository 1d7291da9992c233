"""What part of a step of the batch loop is not the engine's: scheduling, sampling and bookkeeping?

The batcher runs as it serves, with its delivery thread and its callers in the same process. What lies between one call
of the engine and the next is timed on the wall's clock and, for busy machines, in CPU time of the loop's own thread.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from harness.generation_report import console
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE, REPO
from harness.report import Report, rounded
from harness.turns import Worker
from matplotlib.figure import Figure
from rich.table import Table

CASES = {  # at how many at once, and how tokens are chosen
    "1, greedy": (1, {"temperature": 0}),
    "8, greedy": (8, {"temperature": 0}),
    "32, greedy": (32, {"temperature": 0}),
    "32, drawn": (32, {"temperature": 0.8, "top_p": 0.95}),
}
CONTEXT_TOKENS = 224
TEXT = BENCH / "data" / "opticks.txt"

Rounds = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("step_overhead", quick=arguments.quick)
    rounds, seconds = (2, 0.8) if arguments.quick else (7, 2.0)
    command = [sys.executable, "-m", "engines.penstock", str(smollm2()), str(TEXT), str(os.cpu_count())]
    worker = Worker("penstock", command, cwd=BENCH, log=CACHE / "step_overhead.log")
    measured: Rounds = {case: [] for case in CASES}
    try:
        with console.status("loading"):
            worker.turn("about")
        for turn in range(rounds):
            for case, (concurrent, controls) in CASES.items():
                with console.status(f"round {turn + 1} of {rounds}: {case}"):
                    load = {"concurrent": concurrent, "context": CONTEXT_TOKENS, "seconds": seconds}
                    measured[case].append(worker.turn("overhead", **load, controls=controls))
    finally:
        worker.stop()
    console.print(_table(measured))
    _plot(measured, report.path(".png"))
    report.finish(_figures(measured), {"rounds": measured})


def _figures(measured: Rounds) -> dict[str, Any]:
    figures = {"overhead_share": rounded(_share(measured["32, drawn"], "wall"))}
    for case, rounds in measured.items():
        name = case.replace(", ", "_")
        figures[f"overhead_share_cpu_{name}"] = rounded(_share(rounds, "cpu"))
        figures[f"around_ms_{name}"] = rounded(_median(rounds, "cpu_around_ms"))
    return figures


def _table(measured: Rounds) -> Table:
    shown = Table(title="SmolLM2-135M: a step of the batch loop, and what of it is not the engine's")
    for heading in ("at once", "step ms", "around it ms", "share", "share of CPU"):
        shown.add_column(heading, justify="right")
    for case, rounds in measured.items():
        shown.add_row(
            case,
            f"{_median(rounds, 'wall_step_ms'):.2f}",
            f"{_median(rounds, 'wall_around_ms'):.3f}",
            f"{_share(rounds, 'wall'):.1%}",
            f"{_share(rounds, 'cpu'):.1%}",
        )
    return shown


def _plot(measured: Rounds, path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    bars = axis.bar(list(measured), [100 * _share(rounds, "cpu") for rounds in measured.values()])
    axis.bar_label(bars, fmt="%.1f %%")
    axis.set(ylabel="% of the loop's CPU time", title="Scheduling, sampling and bookkeeping")
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _share(rounds: list[dict[str, float]], clock: str) -> float:
    return statistics.median(each[f"{clock}_around_ms"] / each[f"{clock}_step_ms"] for each in rounds)


def _median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(each[name] for each in rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
