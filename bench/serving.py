"""What is left of the batcher's speed at the gRPC door, and how long do many callers at once wait for a first token?

The batcher runs in process and behind our service's gRPC port, beside llama.cpp's HTTP server with as many slots, each
in a process of its own, called in turn. The share of the door is taken while all answers run, from steady streams; the
times from bursts, in which all ask at once.
"""

import argparse
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.texts import beginning
from harness import install
from harness.generation_report import console
from harness.gguf import smollm2
from harness.paths import BENCH, CACHE, REPO
from harness.report import Report, rounded
from harness.turns import Worker
from matplotlib.figure import Figure
from rich.table import Table

CONCURRENT = 32
TEXT = BENCH / "data" / "opticks.txt"
IN_PROCESS, AT_THE_DOOR, LLAMA_SERVER = "in process", "over gRPC", "llama-server, HTTP"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    rounds: int
    seconds: float
    context_tokens: int  # before the steady streams
    prompt_tokens: int  # of each who asks in a burst
    answer_tokens: int


FULL = Plan(rounds=7, seconds=2.0, context_tokens=224, prompt_tokens=128, answer_tokens=48)
QUICK = Plan(
    rounds=1, seconds=2.0, context_tokens=64, prompt_tokens=64, answer_tokens=24
)  # the peer reads slowly


@dataclass(slots=True)
class Measured:
    """What all rounds gave for one way to ask."""

    steady: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)
    first_token_ms: list[float] = field(default_factory=list)
    inter_token_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    absent = install.llama_server()
    if arguments.setup:
        raise SystemExit(absent or None)
    report = Report("serving", quick=arguments.quick)
    plan = QUICK if arguments.quick else FULL
    workers = _start(with_peer=not absent)
    measured: dict[str, Measured] = defaultdict(Measured)
    try:
        for turn in range(plan.rounds):
            for name, worker in workers.items():
                with console.status(f"round {turn + 1} of {plan.rounds}: {name}"):
                    _measure(worker, measured[name], turn, plan)
    finally:
        for worker in workers.values():
            worker.stop()
    console.print(_table(measured, absent))
    _plot(measured, report.path(".png"))
    rates = {name: _rounds(each) for name, each in measured.items()}
    report.finish(_figures(measured), {"absent": {LLAMA_SERVER: absent} if absent else {}, "rounds": rates})


def _start(*, with_peer: bool) -> dict[str, Worker]:
    arguments = [str(smollm2()), str(TEXT), str(os.cpu_count())]
    modules = {IN_PROCESS: "penstock", AT_THE_DOOR: "penstock_grpc"}
    modules |= {LLAMA_SERVER: "llama_server"} if with_peer else {}
    workers = {}
    for name, module in modules.items():
        command = [sys.executable, "-m", f"engines.{module}", *arguments]
        workers[name] = Worker(name, command, cwd=BENCH, log=CACHE / f"serving-{module}.log")
    for name, worker in workers.items():
        with console.status(f"loading {name}"):
            worker.turn("about")
    return workers


def _measure(worker: Worker, measured: Measured, turn: int, plan: Plan) -> None:
    load = {"concurrent": CONCURRENT, "context": plan.context_tokens, "seconds": plan.seconds}
    measured.steady.append(worker.turn("decode", **load)["tokens_per_s"])
    text = TEXT.read_text()
    starts = [2000 * turn + 500 * place for place in range(CONCURRENT)]
    prompts = [beginning(text[start:], plan.prompt_tokens) for start in starts]
    organizations = [f"bench-{turn}"] * CONCURRENT
    asked = worker.turn("burst", prompts=prompts, organizations=organizations, tokens=plan.answer_tokens)
    measured.burst.append(asked["tokens_per_s"])
    measured.first_token_ms += [1e3 * seconds for seconds in asked["first_token_seconds"]]
    measured.inter_token_ms += [1e3 * seconds for seconds in asked["inter_token_seconds"]]


def _figures(measured: dict[str, Measured]) -> dict[str, Any]:
    ours, door = measured[IN_PROCESS], measured[AT_THE_DOOR]
    figures = {
        "door_share": _share(door.steady, ours.steady),
        "door_share_burst": _share(door.burst, ours.burst),
        "tokens_per_s_in_process": rounded(statistics.median(ours.steady)),
        **_waits(door, "door"),
    }
    if LLAMA_SERVER in measured:
        peer = measured[LLAMA_SERVER]
        figures |= {
            "llama_server_ratio": _share(door.steady, peer.steady),
            "llama_server_ratio_burst": _share(door.burst, peer.burst),
            **_waits(peer, "llama_server"),
        }
    return figures


def _waits(measured: Measured, name: str) -> dict[str, float]:
    return {
        f"tokens_per_s_{name}": rounded(statistics.median(measured.steady)),
        f"tokens_per_s_burst_{name}": rounded(statistics.median(measured.burst)),
        f"ttft_ms_p50_{name}": rounded(_percentile(measured.first_token_ms, 50)),
        f"ttft_ms_p95_{name}": rounded(_percentile(measured.first_token_ms, 95)),
        f"itl_ms_p50_{name}": rounded(_percentile(measured.inter_token_ms, 50)),
        f"itl_ms_p95_{name}": rounded(_percentile(measured.inter_token_ms, 95)),
    }


def _share(door: Sequence[float], ours: Sequence[float]) -> float:
    """Compare round with round: what else the machine did changes from one to the next."""
    return rounded(statistics.median(each / by for each, by in zip(door, ours, strict=True)))


def _table(measured: dict[str, Measured], absent: str) -> Table:
    shown = Table(
        title=f"SmolLM2-135M, {CONCURRENT} callers at once",
        caption=f"llama-server is absent: {absent}" if absent else None,
    )
    for heading in ("", "steady tokens/s", "burst tokens/s", "TTFT p50 / p95 ms", "ITL p50 / p95 ms"):
        shown.add_column(heading, justify="right" if heading else "left")
    for name, each in measured.items():
        shown.add_row(
            name,
            f"{statistics.median(each.steady):,.0f}",
            f"{statistics.median(each.burst):,.0f}",
            " / ".join(f"{_percentile(each.first_token_ms, p):,.0f}" for p in (50, 95)),
            " / ".join(f"{_percentile(each.inter_token_ms, p):,.1f}" for p in (50, 95)),
        )
    return shown


def _plot(measured: dict[str, Measured], path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, each in measured.items():
        waits = sorted(each.first_token_ms)
        axis.plot(waits, [(place + 1) / len(waits) for place in range(len(waits))], label=name)
    axis.set(xlabel="ms to the first token", ylabel="share of callers", title=f"{CONCURRENT} callers at once")
    axis.legend()
    figure.savefig(path, dpi=120)
    console.print(f"plot: {path.relative_to(REPO)}")


def _rounds(measured: Measured) -> dict[str, list[float]]:
    return {name: [rounded(rate) for rate in getattr(measured, name)] for name in ("steady", "burst")}


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds, once llama.cpp is built")
    parser.add_argument(
        "--setup", action="store_true", help="only build llama.cpp and its server (about 10 minutes)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
