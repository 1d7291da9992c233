"""How much CPU does screening cost: a prompt of 1 KB, a long text, and a chunk of a stream, beside Presidio's patterns?

All our detectors are on; Presidio has its pattern recognisers and no language model. Times are CPU of one thread, so
that other load does not count.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guardrail.presidio import Presidio
from guardrail.scanning import all_rules
from harness.paths import BENCH
from harness.report import Report, rounded
from matplotlib.figure import Figure
from penstock_guardrail.cutter import Cutter
from penstock_guardrail.scanner import Scanner
from rich.console import Console
from rich.table import Table

PROMPT_CHARACTERS = 1024
LONG_CHARACTERS = 1 << 20
CHUNK_CHARACTERS = 4  # about a token
STREAM_CHARACTERS = 24_000
COMPARED_PROMPTS = 16
PERSONAL = (
    "Please write to Maria Keller at maria.keller@example.org or call +49 30 901820 about invoice 2026-117. "
    "The customer lives in Lisbon and paid with 4111 1111 1111 1111 on Monday. "
)


@dataclass(frozen=True, slots=True)
class Texts:
    """What is screened. The prompts are of plain prose; one in four begins with personal data."""

    prompts: Sequence[str]
    long: str
    stream: str


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("guardrail_speed", quick=arguments.quick)
    texts, seconds = _texts(), 4.0 if arguments.quick else 20.0
    scanner = all_rules().incoming
    gc.collect()
    gc.freeze()  # as every service does once it has started
    prompts = _seconds_each(
        [lambda text=text: Cutter(scanner).finish(text) for text in texts.prompts], seconds
    )
    long = _seconds_each([lambda: Cutter(scanner).finish(texts.long)], seconds)
    added, held = _stream(scanner, texts.stream)
    figures = {
        "prompt_us_p50": rounded(statistics.median(prompts) * 1e6),
        "long_mb_s": rounded(len(texts.long.encode()) / statistics.median(long) / 1e6),
        "stream_added_ms_p50": rounded(statistics.median(added) * 1e3),
        "stream_added_ms_p99": rounded(statistics.quantiles(added, n=100)[98] * 1e3),
        "stream_held_characters_mean": rounded(statistics.fmean(held)),
        "stream_held_characters_max": max(held),
    }
    with Presidio() as presidio:
        if presidio.absent is None:
            compared = texts.prompts[:COMPARED_PROMPTS]
            theirs = statistics.median(presidio.speed(compared, seconds)["seconds"])
            ours = _seconds_each([lambda: [Cutter(scanner).finish(text) for text in compared]], seconds)
            figures["presidio_prompt_us"] = rounded(theirs * 1e6)
            figures["presidio_speed_ratio"] = rounded(theirs * len(compared) / statistics.median(ours))
    Console().print(_table(figures))
    _plot(added, held, report)
    report.finish(figures, {"absent": {"presidio": presidio.absent}})


def _texts() -> Texts:
    prose = (BENCH / "data" / "opticks.txt").read_text()
    prose = prose[: len(prose) // 2]
    prompts = [
        prose[at : at + PROMPT_CHARACTERS]
        for at in range(0, len(prose) - PROMPT_CHARACTERS, PROMPT_CHARACTERS)
    ]
    prompts = [
        (PERSONAL + text)[:PROMPT_CHARACTERS] if not turn % 4 else text for turn, text in enumerate(prompts)
    ]
    whole = "\n\n".join(prompts)
    return Texts(
        prompts, (whole * (LONG_CHARACTERS // len(whole) + 1))[:LONG_CHARACTERS], whole[:STREAM_CHARACTERS]
    )


def _seconds_each(works: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Do each in turn again and again, after once for warmth; give the CPU seconds of each time."""
    for work in works:
        work()
    measured: list[float] = []
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        for work in works:
            before = time.thread_time()
            work()
            measured.append(time.thread_time() - before)
    return measured


def _stream(scanner: Scanner, text: str) -> tuple[list[float], list[int]]:
    """Screen a text as it comes, twice, the first time for warmth; give CPU seconds and held characters by chunk."""
    for _ in range(2):
        added, held = [], []
        cutter = Cutter(scanner)
        for at in range(0, len(text), CHUNK_CHARACTERS):
            before = time.thread_time()
            cutter.push(text[at : at + CHUNK_CHARACTERS])
            added.append(time.thread_time() - before)
            held.append(cutter.held_characters)
    return added, held


def _table(figures: dict[str, float]) -> Table:
    table = Table(title="Screening, all detectors on, CPU of one thread")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, str(value))
    return table


def _plot(added: Sequence[float], held: Sequence[int], report: Report) -> None:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist([value * 1e3 for value in added], bins=60, log=True)
    left.set_xlabel(f"CPU ms added to a chunk of {CHUNK_CHARACTERS} characters")
    right.hist(held, bins=range(max(held) + 2), log=True)
    right.set_xlabel("characters held back after a chunk")
    for axes in (left, right):
        axes.set_ylabel("chunks")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(report.path(".png"), dpi=120)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
