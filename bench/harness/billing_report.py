"""The table and plot of `billing_cycles.py`."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from harness.billing_load import Latency
from harness.paths import REPO

console = Console()


class Measured(Protocol):
    """A contestant in one round."""

    contestant: str
    cycles_per_second: float
    cpu_us: float


def table(cells: Sequence[Measured], latency: Latency) -> Table:
    """Write medians over the rounds."""
    made = Table(title="Authorize + settle, durable", title_justify="left")
    made.add_column("contestant")
    made.add_column("cycles/s", justify="right")
    made.add_column("CPU of billing, µs a cycle", justify="right")
    for name in dict.fromkeys(cell.contestant for cell in cells):
        cpu = _median([cell.cpu_us for cell in cells if cell.contestant == name])
        made.add_row(name, f"{_rate(cells, name):,.0f}", f"{cpu:,.0f}" if cpu else "")
    load = f"SQLite at {latency.cycles_per_second:,.0f} cycles/s"
    made.caption = f"{load}: p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms a call"
    return made


def plot(cells: Sequence[Measured], path: Path) -> None:
    """Draw the rates."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axis = figure.subplots()
    names = list(dict.fromkeys(cell.contestant for cell in cells))
    bars = axis.barh(names, [_rate(cells, name) for name in names])
    for bar, name in zip(bars, names, strict=True):
        bar.set_color("tab:blue" if name.startswith("penstock") else "tab:gray")
    axis.bar_label(bars, [f"{_rate(cells, name):,.0f}" for name in names], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set(xlabel="cycles/s", title="Authorize + settle, every answer on disk")
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _rate(cells: Sequence[Measured], name: str) -> float:
    return _median([cell.cycles_per_second for cell in cells if cell.contestant == name])


def _median(values: list[float]) -> float:
    return float(statistics.median(values))
