"""The tables and the plot of `cache_quality.py`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness.paths import REPO
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from semantic.answerers import OURS, THRESHOLDS, Found, by_ours, by_threshold
from semantic.files import Questions
from semantic.measures import Hits, question_hits

console = Console()


def show(
    by_question: dict[str, Hits],
    by_pairs: dict[str, list[tuple[Hits, Hits]]],
    names: Sequence[str],
    rules: Sequence[dict[str, float | str]],
) -> None:
    """Lay it out for people."""
    table = Table(title="Labelled questions, and pairs that share an answer (different | same)")
    for heading in ("", "answered", "of those wrong", *names):
        table.add_column(heading, justify="right" if heading else "left")
    for name, hits in by_question.items():
        shares = [f"{_percent(different)} | {_percent(same)}" for different, same in by_pairs[name]]
        table.add_row(name, f"{hits.rate:.1%}", f"{hits.wrong_share:.2%}", *shares)
    console.print(table)
    ablated = Table(title="Without one rule of the guard: what more would be answered")
    for heading in (
        "rule",
        "pairs it tells apart",
        "questions",
        "of those wrong",
        "different pairs",
        "same pairs",
    ):
        ablated.add_column(heading, justify="left" if heading == "rule" else "right")
    for row in rules:
        ablated.add_row(
            *(str(row[name]) for name in ("rule", "sees", "hits", "wrong", "false_pairs", "kept_pairs"))
        )
    console.print(ablated)


def plot(
    questions: tuple[Sequence[Found], Questions, Questions], by_question: dict[str, Hits], path: Path
) -> None:
    """Draw the wrong share over the hit rate: curves of every threshold, points of what ships."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    found, asked, kept = questions
    curves = {
        "penstock, any floor": [
            question_hits(found, asked, kept, lambda one, floor=floor: by_ours(one, floor=floor))
            for floor in np.linspace(1, 6, 26)
        ],
        "cosine, any threshold": [
            question_hits(found, asked, kept, lambda one, least=least: by_threshold(one, least))
            for least in np.linspace(0.8, 0.99, 20)
        ],
    }
    for name, points in curves.items():
        shown = [one for one in points if one.hits]
        axis.plot([one.rate for one in shown], [one.wrong_share for one in shown], label=name)
    for name in (OURS, *THRESHOLDS):
        hits = by_question[name]
        axis.plot(hits.rate, hits.wrong_share, "o", label=name)
    axis.set(xlabel="questions answered", ylabel="of those wrong", title="Answers by meaning")
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.yaxis.set_major_formatter("{x:.1%}")
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _percent(hits: Hits) -> str:
    return f"{hits.rate:.1%}" if hits.asked else "-"
