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
TRANSFORMERS = "transformers"
PEERS = {PEER: "llamacpp", PEER_BEST: "llamacpp_best", TRANSFORMERS: "transformers"}

console = Console()


class Rates:
    """Tokens per second of each engine in each case, one value a round for each of its settings."""

    def __init__(self) -> None:
        self._rounds: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))

    def add(self, case: str, engine: str, setting: str, tokens_per_s: float) -> None:
        """Note what one round gave."""
        self._rounds[case][engine].setdefault(setting, []).append(tokens_per_s)

    @property
    def cases(self) -> list[str]:
        """List the cases in the order of their first round."""
        return list(self._rounds)

    def median(self, case: str, engine: str) -> float | None:
        """Give an engine's rate in a case with the setting that was best there, None when it was not measured."""
        by_setting = self._rounds[case].get(engine)
        return max(map(statistics.median, by_setting.values())) if by_setting else None

    def ratio(self, case: str, peer: str) -> float | None:
        """Divide our rate by a peer's."""
        rate, by = self.median(case, OURS), self.median(case, peer)
        return rate / by if rate and by else None

    def all(self) -> dict[str, dict[str, dict[str, list[float]]]]:
        """Give every round."""
        return {
            case: {
                engine: {setting: [rounded(rate) for rate in rates] for setting, rates in by_setting.items()}
                for engine, by_setting in by_engine.items()
            }
            for case, by_engine in self._rounds.items()
        }


def figures(rates: Rates, nats: Mapping[str, float]) -> dict[str, Any]:
    """Name what programs read; what was not measured is left out."""
    named: dict[str, Any] = {}
    for case in rates.cases:
        for engine, name in {OURS: "penstock", **PEERS}.items():
            rate, ratio = rates.median(case, engine), rates.ratio(case, engine)
            if rate is not None and ratio is not None:
                named |= {} if engine == OURS else {f"{name}_ratio_{case}": rounded(ratio)}
                named[f"{name}_tokens_per_s_{case}"] = rounded(rate)
    named["ppl"] = rounded(math.exp(nats[OURS]), 5)
    for name, peer in (("ppl_ratio", PEER), ("ppl_best_ratio", PEER_BEST)):
        if peer in nats:
            named[name] = round(_perplexity_ratio(nats, peer), 4)
    return named


def _perplexity_ratio(nats: Mapping[str, float], peer: str) -> float:
    return math.exp(nats[OURS] - nats[peer])


def table(
    rates: Rates, nats: Mapping[str, float], labels: Mapping[str, str], absent: Mapping[str, str]
) -> Table:
    """Lay it out for people."""
    caption = "; ".join(f"{peer} is absent: {reason}" for peer, reason in absent.items())
    shown = Table(title="tokens per second, and how many times a peer's ours are", caption=caption or None)
    for heading in ("", OURS, *PEERS):
        shown.add_column(heading, justify="right" if heading else "left")
    for case in rates.cases:
        cells = [_cell(rates.median(case, OURS))]
        cells += [_beside(rates.median(case, peer), rates.ratio(case, peer), ",.0f") for peer in PEERS]
        shown.add_row(labels[case], *cells)
    shown.add_section()
    cells = [f"{math.exp(nats[OURS]):.2f}"]
    for peer in (peer for peer in PEERS if peer in nats):
        cells.append(_beside(math.exp(nats[peer]), _perplexity_ratio(nats, peer), ".2f"))
    shown.add_row("perplexity", *cells)
    return shown


def _beside(value: float | None, ratio: float | None, form: str) -> str:
    return "" if value is None or ratio is None else f"{value:{form}} ({ratio:.3g})"


def plot(rates: Rates, labels: Mapping[str, str], path: Path) -> None:
    """Draw the rates by case."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / (1 + len(PEERS))
    for index, engine in enumerate((OURS, *PEERS)):
        heights = [rates.median(case, engine) or 0.0 for case in rates.cases]
        places = [place + index * width for place in range(len(heights))]
        bars = axis.bar(places, heights, width, label=engine)
        texts = [_cell(height or None) for height in heights]
        axis.bar_label(bars, texts, fontsize=7, padding=2)
    middles = [place + 0.4 - width / 2 for place in range(len(rates.cases))]
    axis.set_xticks(middles, [labels[case].replace(", ", "\n") for case in rates.cases], fontsize=8)
    axis.set(yscale="log", ylabel="tokens/s", title="Generating on this machine's CPU")
    axis.margins(y=0.15)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
