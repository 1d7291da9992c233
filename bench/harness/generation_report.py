"""The arithmetic, table and plot of `generation.py`."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from harness.paths import REPO
from harness.report import rounded

OURS = "penstock"
PEER = "llama.cpp"
PEER_BEST = "llama.cpp, Q4_0"
OVER_GRPC = "penstock, over gRPC"

console = Console()


class Rates:
    """Tokens per second of each engine in each case, one value a round."""

    def __init__(self) -> None:
        self._rounds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, engine: str, case: str, tokens_per_s: float) -> None:
        """Note what one round gave."""
        self._rounds[case][engine].append(tokens_per_s)

    @property
    def cases(self) -> list[str]:
        """List the cases: how many answers at once, and prefill."""
        return list(self._rounds)

    def median(self, engine: str, case: str) -> float | None:
        """Give an engine's rate in a case, None when it was not measured."""
        measured = self._rounds[case].get(engine)
        return statistics.median(measured) if measured else None

    def ratio(self, engine: str, other: str, case: str) -> float | None:
        """Divide one engine's rate by another's."""
        rate, by = self.median(engine, case), self.median(other, case)
        return rate / by if rate and by else None

    def all(self) -> dict[str, dict[str, list[float]]]:
        """Give every round."""
        return {
            case: {name: [rounded(rate) for rate in rates] for name, rates in by.items()}
            for case, by in self._rounds.items()
        }


def figures(rates: Rates, nats: Mapping[str, float]) -> dict[str, Any]:
    """Name what programs read. A share of gRPC is what part of the tokens per second its path takes."""
    named: dict[str, Any] = {}
    for case in rates.cases:
        named[f"llamacpp_ratio_{case}"] = _rounded(rates.ratio(OURS, PEER, case))
        named[f"llamacpp_best_ratio_{case}"] = _rounded(rates.ratio(OURS, PEER_BEST, case))
        named[f"tokens_per_s_{case}"] = _rounded(rates.median(OURS, case))
        named[f"llamacpp_tokens_per_s_{case}"] = _rounded(rates.median(PEER, case))
        over_grpc = rates.ratio(OVER_GRPC, OURS, case)
        if over_grpc is not None:
            named["grpc_share"] = named[f"grpc_share_{case}"] = round(1 - over_grpc, 3)
    named["ppl"] = rounded(math.exp(nats[OURS]), 5)
    for name, peer in (("ppl_ratio", PEER), ("ppl_best_ratio", PEER_BEST)):
        ratio = _perplexity_ratio(nats, peer)
        named[name] = None if ratio is None else round(ratio, 4)
    return named


def _perplexity_ratio(nats: Mapping[str, float], peer: str) -> float | None:
    return math.exp(nats[OURS] - nats[peer]) if peer in nats else None


def table(rates: Rates, nats: Mapping[str, float], absent: str) -> Table:
    """Lay it out for people."""
    shown = Table(
        title="SmolLM2-135M, tokens per second", caption=f"llama.cpp is absent: {absent}" if absent else None
    )
    shown.add_column("")
    for heading in (OURS, PEER, "ratio", PEER_BEST, "ratio", OVER_GRPC):
        shown.add_column(heading, justify="right")
    for case in rates.cases:
        cells = [_cell(rates.median(OURS, case))]
        for peer in (PEER, PEER_BEST):
            ratio = rates.ratio(OURS, peer, case)
            cells += [_cell(rates.median(peer, case)), f"{ratio:.2f}" if ratio else ""]
        label = "prefill" if case == "prefill" else f"decode, {case} at once"
        shown.add_row(label, *cells, _cell(rates.median(OVER_GRPC, case)))
    shown.add_section()
    cells = [f"{math.exp(nats[OURS]):.2f}"]
    for peer in (PEER, PEER_BEST):
        ratio = _perplexity_ratio(nats, peer)
        cells += [f"{math.exp(nats[peer]):.2f}", f"{ratio:.3f}"] if ratio else ["", ""]
    shown.add_row("perplexity (less is better)", *cells, "")
    return shown


def plot(rates: Rates, path: Path) -> None:
    """Draw the rates by case."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    engines = [
        name
        for name in (OURS, PEER, PEER_BEST, OVER_GRPC)
        if any(rates.median(name, case) for case in rates.cases)
    ]
    width = 0.8 / len(engines)
    for index, engine in enumerate(engines):
        heights = [rates.median(engine, case) or 0.0 for case in rates.cases]
        bars = axis.bar(
            [place + index * width for place in range(len(heights))], heights, width, label=engine
        )
        axis.bar_label(
            bars, [f"{height:,.0f}" if height else "" for height in heights], fontsize=8, padding=2
        )
    axis.set_xticks(
        [place + 0.4 - width / 2 for place in range(len(rates.cases))],
        [case if case == "prefill" else f"decode, {case} at once" for case in rates.cases],
    )
    axis.set(yscale="log", ylabel="tokens/s", title="SmolLM2-135M on this machine's CPU")
    axis.margins(y=0.15)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
