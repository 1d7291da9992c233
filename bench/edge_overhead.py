"""What does a request pay for going through us, beside what it pays for going through LiteLLM or Portkey?

All systems forward the same body to the same mock upstream, over the loopback, on this machine; wrk asks. Rounds are
interleaved. Every body differs, so that none is answered from our cache: each request goes through authentication,
guardrail, cache, billing and routing to the provider and back. LiteLLM checks a key; Portkey only forwards.
"""

import argparse
import json
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness import install, systems, wrk
from harness.overhead import Cell, Overhead, console, figures, plot, table
from harness.paths import BENCH
from harness.processes import cpu_seconds
from harness.report import Report
from harness.stack import penstock
from harness.systems import MODEL, System

CONNECTIONS = (1, 16, 64)
PROMPT_CHARACTERS = 1040
SETTLE_SECONDS = 0.15  # what a request leaves to be done after its answer counts as its CPU too
SETUP = {"litellm": install.litellm, "portkey": install.portkey}
START = {"litellm": systems.litellm, "portkey": systems.portkey, "penstock": penstock}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: int
    warm_up_seconds: int


FULL = Plan(rounds=5, seconds=4, warm_up_seconds=4)
QUICK = Plan(rounds=1, seconds=2, warm_up_seconds=1)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A system under one kind of load."""

    name: str
    system: System
    hits: bool = False

    def load(self, body: Path, connections: int, seconds: int) -> wrk.Load:
        """Load it for a while."""
        post = wrk.post_same if self.hits else wrk.post
        return post(self.system.url, self.system.headers, body, connections, seconds)


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    absent = {name: why for name, setup in SETUP.items() if (why := setup())}
    install.wrk()
    if arguments.setup:
        raise SystemExit("; ".join(f"{name}: {why}" for name, why in absent.items()) or None)
    report = Report("edge_overhead", quick=arguments.quick)
    systems.RUN_DIR.mkdir(parents=True, exist_ok=True)
    body = systems.RUN_DIR / "body.json"
    body.write_text(_body())
    with ExitStack() as running:
        upstream, others = _start([name for name in START if name not in absent], running, body)
        contestants = [Contestant(system.name, system) for system in (upstream, *others)]
        if arguments.hits:
            contestants.append(Contestant("penstock, cached", others[-1], hits=True))
        cells = list(_measure(contestants, upstream, body, QUICK if arguments.quick else FULL))
    overhead = Overhead(cells)
    console.print(table(overhead, absent))
    plot(overhead, report.path(".png"))
    report.finish(figures(overhead), {"absent": absent, "cells": overhead.rows()})


def _start(names: Sequence[str], running: ExitStack, body: Path) -> tuple[System, list[System]]:
    """Start the upstream and, at the same time, everything that forwards to it."""
    request = body.read_bytes()
    upstream = systems.upstream()
    running.callback(upstream.processes.stop)
    upstream.wait(request)

    def start(name: str) -> System:
        system = START[name](upstream.base_url)
        running.callback(system.processes.stop)
        system.wait(request)
        return system

    with console.status(f"starting {', '.join(names)}"), ThreadPoolExecutor() as pool:
        others = list(pool.map(start, names))
    for system in others:
        if system.name != "portkey" and not system.refuses_strangers(request):
            raise SystemExit(f"{system.name} answers a request with a wrong key")
    return upstream, others


def _measure(contestants: Sequence[Contestant], upstream: System, body: Path, plan: Plan) -> Iterator[Cell]:
    """Take turns; the next round begins with the next contestant."""
    for contestant in contestants:
        with console.status(f"warming up {contestant.name}"):
            contestant.load(body, CONNECTIONS[-1], plan.warm_up_seconds)
    for turn in range(plan.rounds):
        first = turn % len(contestants)
        for connections in CONNECTIONS:
            for contestant in (*contestants[first:], *contestants[:first]):
                doing = f"round {turn + 1} of {plan.rounds}: {contestant.name}, {connections} connections"
                with console.status(doing):
                    yield _turn(contestant, upstream, body, connections, plan.seconds)


def _turn(contestant: Contestant, upstream: System, body: Path, connections: int, seconds: int) -> Cell:
    """Load one system; fail the run unless every request was answered, and by the upstream unless cached."""
    pids = contestant.system.processes.pids()
    reached, cpu = _completions(upstream), cpu_seconds(pids)
    load = contestant.load(body, connections, seconds)
    time.sleep(SETTLE_SECONDS)
    reached, cpu = _completions(upstream) - reached, cpu_seconds(pids) - cpu
    if load.bad_status or load.broken or not load.requests:
        raise SystemExit(f"{contestant.name}, {connections} connections: {load}")
    if contestant.hits != (reached < load.requests):
        raise SystemExit(f"{contestant.name}: {reached} of {load.requests} requests reached the upstream")
    return Cell(contestant.name, connections, load, cpu)


def _completions(upstream: System) -> int:
    with urllib.request.urlopen(upstream.base_url, timeout=10) as answer:
        return int(answer.read())


def _body() -> str:
    """Write a request of 1.2 KB; the load generator puts a text of its own for ########."""
    prose = (BENCH / "data" / "opticks.txt").read_text()[:PROMPT_CHARACTERS]
    message = {"role": "user", "content": f"######## {prose}"}
    return json.dumps({"model": MODEL, "messages": [message], "max_tokens": 128, "temperature": 0.7})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="at most 50 seconds, once the peers are installed"
    )
    parser.add_argument(
        "--hits", action="store_true", help="also ask one question again and again, which our cache answers"
    )
    parser.add_argument("--setup", action="store_true", help="only install the peers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
