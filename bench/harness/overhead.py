"""The arithmetic, table and plot of `edge_overhead.py`."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from harness.paths import REPO
from harness.report import rounded
from harness.wrk import Load

console = Console()
_DIRECT = "upstream"
_OURS = "penstock"
_CACHED = "penstock, cached"
_DIRECT_FIGURES = ("rps", "cpu_us")
_FIGURES = (*_DIRECT_FIGURES, "added_p50_ms", "added_p99_ms")


@dataclass(frozen=True, slots=True)
class Cell:
    """One system under one load, in one round."""

    system: str
    connections: int
    load: Load
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One system under one load: medians over the rounds. What is added is over the upstream alone."""

    system: str
    connections: int
    rps: float
    added_p50_ms: float
    added_p99_ms: float
    cpu_us: float
    requests: int


class Overhead:
    """All that was measured, with the upstream alone as what to compare with."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells
        self.systems = list(dict.fromkeys(cell.system for cell in cells))
        self.connections = sorted({cell.connections for cell in cells})

    def row(self, system: str, connections: int) -> Row:
        """Summarise a system under a load."""
        loads = self._loads(system, connections)
        direct = self._loads(_DIRECT, connections)
        requests = sum(load.requests for load in loads)
        cpu = sum(
            cell.cpu_seconds
            for cell in self._cells
            if (cell.system, cell.connections) == (system, connections)
        )
        return Row(
            system,
            connections,
            rps=statistics.median(load.rps for load in loads),
            added_p50_ms=_median_p50(loads) - _median_p50(direct),
            added_p99_ms=_median_p99(loads) - _median_p99(direct),
            cpu_us=cpu / requests * 1e6,
            requests=requests,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Give everything as plain values."""
        return [asdict(self.row(system, load)) for load in self.connections for system in self.systems]

    def _loads(self, system: str, connections: int) -> list[Load]:
        return [cell.load for cell in self._cells if (cell.system, cell.connections) == (system, connections)]


def figures(overhead: Overhead) -> dict[str, Any]:
    """Name what programs read: ours, the peers', and ratios at the highest load."""
    named: dict[str, Any] = {}
    top = overhead.connections[-1]
    for peer in ("litellm", "portkey"):
        present = peer in overhead.systems
        ratio = overhead.row(_OURS, top).rps / overhead.row(peer, top).rps if present else None
        named[f"{peer}_ratio_rps"] = ratio and rounded(ratio)
    prefixes = {
        _OURS: "",
        _CACHED: "hit_",
        "litellm": "litellm_",
        "portkey": "portkey_",
        _DIRECT: "upstream_",
    }
    for system in overhead.systems:
        for connections in overhead.connections:
            row = overhead.row(system, connections)
            for name in _DIRECT_FIGURES if system == _DIRECT else _FIGURES:
                named[f"{prefixes[system]}{name}_{connections}"] = rounded(getattr(row, name))
    return named


def table(overhead: Overhead, absent: Mapping[str, str]) -> Table:
    """Lay it out for people."""
    caption = "; ".join(f"{name} is absent: {why}" for name, why in absent.items())
    shown = Table(title="What a request pays for the way through each system", caption=caption or None)
    shown.add_column("conns", justify="right", no_wrap=True)
    shown.add_column("system", no_wrap=True)
    for heading in ("requests/s", "added p50 ms", "added p99 ms", "CPU µs"):
        shown.add_column(heading, justify="right")
    for connections in overhead.connections:
        for system in overhead.systems:
            row = overhead.row(system, connections)
            added = (
                ("", "") if system == _DIRECT else (f"{row.added_p50_ms:,.2f}", f"{row.added_p99_ms:,.2f}")
            )
            style = "bold" if system.startswith(_OURS) else None
            cells = (str(connections), system, f"{row.rps:,.0f}", *added, f"{row.cpu_us:,.0f}")
            shown.add_row(*cells, style=style)
        shown.add_section()
    return shown


def plot(overhead: Overhead, path: Path) -> None:
    """Draw throughput, latency and CPU by system and load."""
    panels = {"rps": "requests/s", "added_p50_ms": "added p50, ms", "cpu_us": "CPU, µs a request"}
    systems = [system for system in overhead.systems if system != _DIRECT]
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, len(panels))
    width = 0.8 / len(systems)
    for axis, (name, label) in zip(axes, panels.items(), strict=True):
        for index, system in enumerate(systems):
            heights = [getattr(overhead.row(system, load), name) for load in overhead.connections]
            places = [place + index * width for place in range(len(heights))]
            bars = axis.bar(places, heights, width, label=system)
            axis.bar_label(bars, [_label(height) for height in heights], fontsize=7, rotation=90, padding=2)
        ticks = [place + 0.4 - width / 2 for place in range(len(overhead.connections))]
        axis.set(
            yscale="log", ylabel=label, xticks=ticks, xticklabels=overhead.connections, xlabel="connections"
        )
        axis.margins(y=0.25)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _median_p50(loads: Sequence[Load]) -> float:
    return statistics.median(load.p50_ms for load in loads)


def _median_p99(loads: Sequence[Load]) -> float:
    return statistics.median(load.p99_ms for load in loads)
