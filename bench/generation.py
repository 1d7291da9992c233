"""How fast do small Llamas generate through our batcher, beside llama.cpp and transformers on the same cores?

Each engine has a process of its own, loaded all the time and called in turn. Ours is timed from outside, as answers
come out of the batcher: scheduling, sampling and text included. llama.cpp is called through its batch API, which is
more than its server gives, with flash attention and without, of which the better counts: on the same file, and on the
same weights in the format that it runs fastest. transformers batch continuously by themselves.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import install
from harness.generation_report import (
    OURS,
    PEER,
    PEER_BEST,
    TRANSFORMERS,
    Rates,
    console,
    figures,
    plot,
    table,
)
from harness.gguf import smollm2
from harness.llama_7m import llama_7m
from harness.paths import BENCH, CACHE
from harness.report import Report
from harness.turns import Worker

CONTEXT_TOKENS = 224  # at the start of an answer; about 256 while it is timed
PREFILL_TOKENS = 512
WINDOW_TOKENS = 512
TEXT = BENCH / "data" / "opticks.txt"
SMOLLM2, LLAMA_7M = "SmolLM2-135M", "7M Llama"
FLASH_ATTENTION = {"flash attention": {"flash": True}, "no flash attention": {"flash": False}}
SETTINGS = {PEER: FLASH_ATTENTION, PEER_BEST: FLASH_ATTENTION}  # others have one way to run

Workers = Mapping[tuple[str, str], Worker]  # by engine and model


@dataclass(frozen=True, slots=True)
class Case:
    """Something that several engines do with one model."""

    name: str
    label: str
    engines: tuple[str, ...]
    model: str = SMOLLM2
    concurrent: int = 0  # answers; none: a prompt is read


CASES = (
    Case("1", "1 at once", (OURS, PEER, PEER_BEST), concurrent=1),
    Case("8", "8 at once", (OURS, PEER, PEER_BEST, TRANSFORMERS), concurrent=8),
    Case("32", "32 at once", (OURS, PEER, PEER_BEST), concurrent=32),
    Case("prefill", f"prompts of {PREFILL_TOKENS}", (OURS, PEER, PEER_BEST)),
    Case("7m_8", "7M, 8 at once", (OURS, PEER), LLAMA_7M, concurrent=8),
    Case("7m_32", "7M, 32 at once", (OURS, PEER), LLAMA_7M, concurrent=32),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    rounds: int
    seconds: float
    windows: int


FULL = Plan(rounds=5, seconds=0.6, windows=16)
QUICK = Plan(rounds=1, seconds=0.25, windows=1)


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    absent = _absent()
    report = Report("generation", quick=arguments.quick)
    plan = QUICK if arguments.quick else FULL
    workers = _start(absent)
    try:
        if arguments.setup:
            _await(workers)
            raise SystemExit("; ".join(absent.values()) or None)
        nats = _perplexity(workers, plan)  # is not timed, so others may load meanwhile
        _await(workers)
        rates = _rates(workers, plan)
    finally:
        for worker in workers.values():
            worker.stop()
    labels = {case.name: case.label for case in CASES}
    console.print(table(rates, nats, labels, absent))
    plot(rates, labels, report.path(".png"))
    report.finish(figures(rates, nats), {"absent": absent, "tokens_per_s": rates.all()})


def _absent() -> dict[str, str]:
    """Install the peers; say which are missing and why."""
    absent = {PEER: install.llama(), TRANSFORMERS: "" if find_spec("torch") else "run `make setup-test`"}
    return {peer: reason for peer, reason in absent.items() if reason}


def _start(absent: Mapping[str, str]) -> Workers:
    """Start the engines side by side; each answers once it has its model."""
    ours, peer = sys.executable, str(install.LLAMA_PYTHON)
    models = {SMOLLM2: smollm2(), LLAMA_7M: llama_7m()}
    programs = {(OURS, model): (ours, "penstock") for model in models}
    if TRANSFORMERS not in absent:
        programs[TRANSFORMERS, SMOLLM2] = (ours, "transformers_batching")
    if PEER not in absent:
        programs |= {(PEER, model): (peer, "llama") for model in models}
        programs[PEER_BEST, SMOLLM2] = (peer, "llama_q4")
    workers = {}
    for (engine, model), (python, module) in programs.items():
        command = [python, "-m", f"engines.{module}", str(models[model]), str(TEXT), str(os.cpu_count())]
        log = CACHE / f"generation-{module}-{Path(models[model]).stem}.log"
        workers[engine, model] = Worker(f"{engine} ({model})", command, cwd=BENCH, log=log)
    return workers


def _await(workers: Workers) -> None:
    """Wait until the last has its model: who is still loading takes time from who is measured."""
    for worker in workers.values():
        with console.status(f"loading {worker.name}"):
            worker.turn("about")


def _perplexity(workers: Workers, plan: Plan) -> dict[str, float]:
    """Score the same windows of text; refuse to compare where the engines do not read the same tokens."""
    nats, texts = {}, set()
    for engine in (OURS, PEER, PEER_BEST):
        if worker := workers.get((engine, SMOLLM2)):
            texts.add(worker.turn("about")["text"])
            with console.status(f"perplexity: {engine}"):
                scored = worker.turn("perplexity", windows=plan.windows, tokens=WINDOW_TOKENS)
            nats[engine] = scored["nats_per_token"]
    if len(texts) > 1:
        raise SystemExit("the engines make different tokens of the text")
    return nats


def _rates(workers: Workers, plan: Plan) -> Rates:
    rates = Rates()
    for turn in range(plan.rounds):
        for case in CASES:
            if case.concurrent:
                load = {"concurrent": case.concurrent, "context": CONTEXT_TOKENS, "seconds": plan.seconds}
            else:
                load = {"tokens": PREFILL_TOKENS, "offset": turn * 97, "seconds": plan.seconds}
            with console.status(f"round {turn + 1} of {plan.rounds}: {case.label}"):
                _round(workers, case, load, rates)
    return rates


def _round(workers: Workers, case: Case, load: dict[str, Any], rates: Rates) -> None:
    for engine in case.engines:
        if worker := workers.get((engine, case.model)):
            for setting, arguments in SETTINGS.get(engine, {"": {}}).items():
                measured = worker.turn("decode" if case.concurrent else "prefill", **load, **arguments)
                rates.add(case.name, engine, setting, measured["tokens_per_s"])
            if engine == OURS and case.concurrent:
                load["context"] = measured[
                    "context"
                ]  # others begin no later than where ours was when its time began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds, once llama.cpp is built")
    parser.add_argument(
        "--setup", action="store_true", help="only build llama.cpp (about 4 minutes) and the models"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
