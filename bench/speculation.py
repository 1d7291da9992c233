"""What do guessed tokens save where an answer copies its prompt, and what do they cost where it does not?

The same prompts are answered with guesses and without, in turn, by the batcher as it serves. The answers are the same,
token for token. What counts is CPU time, all threads and callers included, which other processes disturb less than the
wall's clock; the prompts were read before.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from engines.texts import beginning
from harness.generation_report import console
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE, REPO
from harness.report import Report, rounded
from harness.turns import Worker
from matplotlib.figure import Figure
from penstock_inference.settings import SMOLLM2
from rich.table import Table

CONCURRENT, CONCURRENT_QUICK = (1, 4, 8, 32), (1, 8)
PASSAGE_TOKENS = 160
_PASSAGES_APART = 2503  # characters
TEXT = BENCH / "data" / "opticks.txt"
COPIED, FREE = "copied", "free"
CONTROLS = {COPIED: {"temperature": 0}, FREE: {"temperature": 0.8, "top_p": 0.95}}

Rounds = dict[tuple[str, int], list[dict[str, float]]]


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("speculation", quick=arguments.quick)
    rounds, tokens = (1, 96) if arguments.quick else (5, 128)
    cases = [(text, at_once) for at_once in _concurrent(arguments) for text in CONTROLS]
    command = [sys.executable, "-m", "engines.penstock", str(smollm2()), str(TEXT), str(os.cpu_count())]
    worker = Worker("penstock", command, cwd=BENCH, log=CACHE / "speculation.log")
    measured: Rounds = {case: [] for case in cases}
    try:
        with console.status("loading"):
            worker.turn("about")
        for turn in range(rounds):
            for case in cases:
                with console.status(f"round {turn + 1} of {rounds}: {case}"):
                    measured[case].append(_ratios(worker, *case, turn, tokens))
    finally:
        worker.stop()
    console.print(_table(measured))
    _plot(measured, report.path(".png"))
    figures = {
        f"{text}_{name}_ratio_{at_once}": rounded(statistics.median(each[name] for each in ratios))
        for (text, at_once), ratios in measured.items()
        for name in ("cpu", "rate")
    }
    report.finish(figures, {"rounds": [[*case, ratios] for case, ratios in measured.items()]})


def _ratios(worker: Worker, text: str, at_once: int, turn: int, tokens: int) -> dict[str, float]:
    prompts = [_prompt(text, 32 * turn + place) for place in range(at_once)]
    load = {"prompts": prompts, "controls": CONTROLS[text]}
    worker.turn("answers", **load, tokens=1, guesses=0)
    plain = worker.turn("answers", **load, tokens=tokens, guesses=0)
    guessed = worker.turn("answers", **load, tokens=tokens, guesses=SMOLLM2.speculative_tokens)
    return {
        "cpu": plain["cpu_s"] / guessed["cpu_s"],
        "rate": guessed["tokens_per_s"] / plain["tokens_per_s"],
    }


def _prompt(text: str, place: int) -> str:
    text_of_book = TEXT.read_text()
    start = place * _PASSAGES_APART % (len(text_of_book) - _PASSAGES_APART)
    passage = beginning(text_of_book[start:], PASSAGE_TOKENS)
    if text == FREE:
        return passage
    return f"A passage of a book:\n\n{passage}\n\nThe same passage again, word for word:\n\n{passage[:60]}"


def _table(measured: Rounds) -> Table:
    shown = Table(title="SmolLM2-135M: without guesses by with guesses")
    for heading in ("answers", "at once", "CPU time", "tokens a second"):
        shown.add_column(heading, justify="right" if heading != "answers" else "left")
    for (text, at_once), ratios in measured.items():
        medians = [statistics.median(each[name] for each in ratios) for name in ("cpu", "rate")]
        shown.add_row(text, str(at_once), *(f"{median:.2f}" for median in medians))
    return shown


def _plot(measured: Rounds, path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for text in CONTROLS:
        points = {
            case[1]: [each["cpu"] for each in ratios] for case, ratios in measured.items() if case[0] == text
        }
        axis.plot(list(points), [statistics.median(each) for each in points.values()], marker="o", label=text)
    axis.axhline(1, color="grey", linewidth=0.8)
    axis.set(xlabel="answers at once", ylabel="CPU time without guesses by with", xscale="log")
    axis.legend()
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _concurrent(arguments: argparse.Namespace) -> tuple[int, ...]:
    return CONCURRENT_QUICK if arguments.quick else CONCURRENT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
