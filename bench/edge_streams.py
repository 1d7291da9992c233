"""What do callers with the OpenAI SDK get from a whole stack: how soon, how fast, and how evenly?

Each caller holds a conversation of its own, streams answer after answer through the edge and asks again at once. Every
answer must be whole and charged: a run fails if one is not.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.generation_report import console
from harness.paths import REPO
from harness.report import Report, rounded
from harness.stack import penstock_with_its_models
from harness.systems import System
from matplotlib.figure import Figure
from openai import AsyncOpenAI
from rich.table import Table

MODEL = "smollm2-135m-instruct"
CALLERS = (1, 8, 32)
ANSWER_TOKENS = 32
SUBJECTS = ("rivers", "bread", "clocks", "bees", "bridges", "salt", "trains", "glass")


@dataclass(frozen=True, slots=True)
class Streamed:
    """One answer as its caller saw it."""

    first_seconds: float
    rest_seconds: float
    tokens: int
    end: float


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    report = Report("edge_streams", quick=arguments.quick)
    seconds = 4.0 if arguments.quick else 20.0
    measured: dict[int, list[Streamed]] = {}
    with console.status("starting the stack"):
        stack = penstock_with_its_models()
    try:
        for callers in CALLERS:
            with console.status(f"{callers} callers"):
                measured[callers] = asyncio.run(_load(stack, callers, seconds))
    finally:
        stack.processes.stop()
    console.print(_table(measured))
    _plot(measured, report.path(".png"))
    report.finish(_figures(measured), {"answers": {callers: len(each) for callers, each in measured.items()}})


async def _load(stack: System, callers: int, seconds: float) -> list[Streamed]:
    """Let callers stream until the time is over; those that began before it end."""
    key = stack.headers["authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=stack.base_url, api_key=key, max_retries=0, timeout=300) as client:
        await _stream(client, "warm", 0)
        until = time.perf_counter() + seconds

        async def call(caller: int) -> list[Streamed]:
            streamed = [await _stream(client, f"{callers}-{caller}", 0)]
            while time.perf_counter() < until:
                streamed.append(await _stream(client, f"{callers}-{caller}", len(streamed)))
            return streamed

        by_caller = await asyncio.gather(*map(call, range(callers)))
    return [streamed for each in by_caller for streamed in each]


async def _stream(client: AsyncOpenAI, caller: str, turn: int) -> Streamed:
    subject = SUBJECTS[turn % len(SUBJECTS)]
    began = time.perf_counter()
    first, usage, ended, receipt = 0.0, None, False, None
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Caller {caller}, question {turn}: tell me of {subject}."}],
        max_tokens=ANSWER_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True, "cache_control": {"no_cache": True, "no_store": True}},
    )
    async for chunk in stream:
        first = first or time.perf_counter()
        ended = ended or any(choice.finish_reason for choice in chunk.choices)
        usage = chunk.usage or usage
        receipt = (chunk.model_extra or {}).get("penstock", receipt)
    if not ended or usage is None or receipt is None or not int(receipt["cost_nanos"]):
        raise SystemExit(f"an answer to {caller} was not whole")
    end = time.perf_counter()
    return Streamed(first - began, end - first, usage.completion_tokens, end)


def _figures(measured: dict[int, list[Streamed]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for callers, streamed in measured.items():
        figures[f"tokens_per_s_{callers}"] = rounded(_rate(streamed))
        figures[f"ttft_ms_p50_{callers}"] = rounded(_percentile(_firsts_ms(streamed), 50))
        figures[f"ttft_ms_p95_{callers}"] = rounded(_percentile(_firsts_ms(streamed), 95))
        figures[f"itl_ms_p50_{callers}"] = rounded(_percentile(_gaps_ms(streamed), 50))
    return figures


def _table(measured: dict[int, list[Streamed]]) -> Table:
    shown = Table(title=f"Chats through the edge with the OpenAI SDK, {ANSWER_TOKENS} tokens each")
    for heading in ("callers", "answers", "tokens/s", "TTFT p50 / p95 ms", "ITL p50 / p95 ms"):
        shown.add_column(heading, justify="right")
    for callers, streamed in measured.items():
        firsts, gaps = _firsts_ms(streamed), _gaps_ms(streamed)
        shown.add_row(
            str(callers),
            str(len(streamed)),
            f"{_rate(streamed):,.0f}",
            " / ".join(f"{_percentile(firsts, percent):,.0f}" for percent in (50, 95)),
            " / ".join(f"{_percentile(gaps, percent):,.1f}" for percent in (50, 95)),
        )
    return shown


def _plot(measured: dict[int, list[Streamed]], path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for callers, streamed in measured.items():
        waits = sorted(_firsts_ms(streamed))
        shares = [(place + 1) / len(waits) for place in range(len(waits))]
        axis.step(waits, shares, label=f"{callers} callers")
    axis.set(xlabel="ms to the first event", ylabel="share of answers", title="Through the edge")
    axis.legend()
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _rate(streamed: Sequence[Streamed]) -> float:
    begin = min(each.end - each.rest_seconds - each.first_seconds for each in streamed)
    return sum(each.tokens for each in streamed) / (max(each.end for each in streamed) - begin)


def _firsts_ms(streamed: Sequence[Streamed]) -> list[float]:
    return [1e3 * each.first_seconds for each in streamed]


def _gaps_ms(streamed: Sequence[Streamed]) -> list[float]:
    return [1e3 * each.rest_seconds / (each.tokens - 1) for each in streamed]


def _percentile(values: Sequence[float], percent: int) -> float:
    every = [*values, *values]  # two at least
    return statistics.quantiles(every, n=100, method="inclusive")[percent - 1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
