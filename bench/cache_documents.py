"""What does the cache save an office that reads documents all day, and is it ever wrong?

The day is made up from a seed (documents/day.py): every request has one right answer, and a hit that gives another one
is wrong. The model is counted, not run: it takes 900 ms. What the cache takes is measured, the encoder included.
"""

import argparse
import asyncio
import sys
from statistics import mean
from typing import Any

from documents.day import Asked, day
from documents.office import Encoder, Office, Score
from harness.report import Report, rounded

REQUESTS, QUICK_REQUESTS = 4_000, 800
AHEAD_SHARE = 0.3  # answers that may be made ahead, of the day's requests


def main() -> None:
    """Play the day with and without answers made ahead, print a table, and end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a shorter day, at most 50 seconds")
    parser.add_argument("--seed", type=int, default=7, help="of the day")
    parser.add_argument("--setup", action="store_true", help="nothing is to be installed")
    arguments = parser.parse_args()
    if arguments.setup:
        return
    report = Report("cache_documents", quick=arguments.quick)
    requests = day(QUICK_REQUESTS if arguments.quick else REQUESTS, arguments.seed)
    encoder = Encoder()
    plain = asyncio.run(_play(requests, encoder, 0))
    ahead = asyncio.run(_play(requests, encoder, int(AHEAD_SHARE * len(requests))))
    figures = {**_figures(plain), **{f"{name}_ahead": value for name, value in _figures(ahead).items()}}
    figures["ahead_useful_share"] = rounded(ahead.ahead_useful / max(1, ahead.ahead_calls))
    for name, value in figures.items():
        print(f"{name:28} {value}")
    report.finish(figures, {"requests": len(requests), "seed": arguments.seed})
    if plain.wrong or ahead.wrong:
        sys.exit("a wrong answer was given")


async def _play(requests: list[Asked], encoder: Encoder, ahead_budget: int) -> Score:
    office = Office(encoder, {asked.text: asked.answer for asked in requests}, ahead_budget)
    for asked in requests:
        await office.ask(asked)
    return office.score


def _figures(score: Score) -> dict[str, Any]:
    calls = score.model_calls + score.ahead_calls
    return {
        "hit_rate": rounded(score.hits / score.requests),
        "semantic_hit_rate": rounded(score.semantic_hits / score.requests),
        "sequential_hit_rate": rounded(score.order_hits / max(1, score.orders)),
        "wrong_answers": score.wrong,
        "latency_ms_mean": rounded(mean(score.latencies_ms)),
        "model_calls_saved_share": rounded(1 - calls / score.requests),
    }


if __name__ == "__main__":
    main()
