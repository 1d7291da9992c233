"""How fast does SmolLM2-135M generate through our batcher, beside llama.cpp on the same file and cores?

Each engine has a process of its own, loaded all the time and called in turn. Ours is timed from outside, as answers
come out of the batcher: scheduling, sampling and text included. llama.cpp is called through its batch API, which is
more than its server gives: on the same file, and on the same weights in the format that it runs fastest. Another
process sends the same load to our service over gRPC.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from harness import install
from harness.generation_report import OURS, OVER_GRPC, PEER, PEER_BEST, Rates, console, figures, plot, table
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE
from harness.report import Report
from harness.turns import Worker

CONCURRENT = (1, 8, 32)
CONTEXT_TOKENS = 224  # at the start of an answer; about 256 while it is timed
PREFILL_TOKENS = 512
WINDOW_TOKENS = 512
TEXT = BENCH / "data" / "opticks.txt"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    rounds: int
    seconds: float
    windows: int
    over_grpc: Sequence[int]  # at how many concurrent answers


FULL = Plan(rounds=5, seconds=0.6, windows=16, over_grpc=CONCURRENT)
QUICK = Plan(rounds=2, seconds=0.3, windows=3, over_grpc=(8,))


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    absent = install.llama()
    if arguments.setup:
        raise SystemExit(absent or None)
    report = Report("generation", quick=arguments.quick)
    plan = QUICK if arguments.quick else FULL
    workers = _start(with_peer=not absent)
    try:
        nats = _perplexity(workers, plan)
        rates = _rates(workers, plan)
    finally:
        for worker in workers.values():
            worker.stop()
    console.print(table(rates, nats, absent))
    plot(rates, report.path(".png"))
    details = {"absent": {PEER: absent} if absent else {}, "tokens_per_s": rates.all()}
    report.finish(figures(rates, nats), details)


def _start(*, with_peer: bool) -> dict[str, Worker]:
    """Start the engines side by side, and wait until the last has loaded the model."""
    gguf, threads = str(smollm2()), str(os.cpu_count())
    pythons = {OURS: (sys.executable, "penstock"), OVER_GRPC: (sys.executable, "penstock_grpc")}
    if with_peer:
        python = str(CACHE / "llama" / "bin" / "python")
        pythons |= {PEER: (python, "llama"), PEER_BEST: (python, "llama_q4")}
    workers = {}
    for name, (python, module) in pythons.items():
        command = [python, "-m", f"engines.{module}", gguf, str(TEXT), threads]
        workers[name] = Worker(name, command, cwd=BENCH, log=CACHE / f"generation-{module}.log")
    for name, worker in workers.items():
        with console.status(f"loading {name}"):
            worker.turn("about")
    return workers


def _perplexity(workers: dict[str, Worker], plan: Plan) -> dict[str, float]:
    """Score the same windows of text; refuse to compare where the engines do not read the same tokens."""
    nats, texts = {}, set()
    for name in (OURS, PEER, PEER_BEST):
        if name in workers:
            texts.add(workers[name].turn("about")["text"])
            with console.status(f"perplexity: {name}"):
                scored = workers[name].turn("perplexity", windows=plan.windows, tokens=WINDOW_TOKENS)
            nats[name] = scored["nats_per_token"]
    if len(texts) > 1:
        raise SystemExit("the engines make different tokens of the text")
    return nats


def _rates(workers: dict[str, Worker], plan: Plan) -> Rates:
    rates = Rates()
    for turn in range(plan.rounds):
        for concurrent in CONCURRENT:
            context = CONTEXT_TOKENS
            names = [name for name in workers if name != OVER_GRPC or concurrent in plan.over_grpc]
            for name in names:
                with console.status(f"round {turn + 1} of {plan.rounds}: {name}, {concurrent} at once"):
                    load = {"concurrent": concurrent, "context": context, "seconds": plan.seconds}
                    measured = workers[name].turn("decode", **load)
                if name == OURS:
                    context = measured["context"]  # others begin where ours was when its time began
                rates.add(name, str(concurrent), measured["tokens_per_s"])
        for name in (OURS, PEER, PEER_BEST):
            if name in workers:
                with console.status(f"round {turn + 1} of {plan.rounds}: {name}, prefill"):
                    measured = workers[name].turn(
                        "prefill", tokens=PREFILL_TOKENS, offset=turn * 97, seconds=plan.seconds
                    )
                rates.add(name, "prefill", measured["tokens_per_s"])
    return rates


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds, once llama.cpp is built")
    parser.add_argument("--setup", action="store_true", help="only build llama.cpp (about 4 minutes)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
