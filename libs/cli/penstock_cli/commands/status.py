"""`penstock status`."""

import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated

import psutil
import typer
from rich.table import Table

from penstock_cli.console import out
from penstock_cli.failure import Failure
from penstock_cli.place import Place, find_place
from penstock_cli.stack.health import health_checker
from penstock_cli.stack.program import Program, read_programs
from penstock_cli.stack.state import ProgramState, is_supervised, read_state

CPU_SECONDS = 0.2
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One program, as it is now."""

    service: str
    pid: int
    serving: bool
    phase: str
    uptime_seconds: int
    restarts: int
    cpu_percent: float
    rss_bytes: int
    address: str


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show every program of the stack: whether it serves, since when, and what it takes.

    Exits 1 when one does not serve.
    """
    place = find_place(os.environ)
    if not is_supervised(place.run_dir):
        raise Failure(
            "no stack runs here", hint=f"Start one with `penstock up` (run directory {place.run_dir})."
        )
    rows = _rows(place)
    if as_json:
        out.print_json(json.dumps([asdict(row) for row in rows]))
    else:
        out.print(_table(rows))
    if not all(row.serving for row in rows):
        raise typer.Exit(1)


def _rows(place: Place) -> list[Row]:
    programs = read_programs(place.run_dir)
    states = read_state(place.run_dir).programs
    families = {name: _family(state) for name, state in states.items()}
    for family in families.values():
        _cpu_percent(family)  # the first question begins the measurement
    serving = asyncio.run(_ask(programs))
    time.sleep(CPU_SECONDS)
    return [
        _row(program, states[program.name], families[program.name], serving[program.name])
        for program in programs
    ]


async def _ask(programs: list[Program]) -> dict[str, bool]:
    async with health_checker() as checker:
        return await checker.serving(programs)


def _row(program: Program, state: ProgramState, family: list[psutil.Process], serving: bool) -> Row:
    return Row(
        service=program.name,
        pid=state.pid,
        serving=serving,
        phase=state.phase.value,
        uptime_seconds=int(time.time() - state.create_time) if family else 0,
        restarts=state.restarts,
        cpu_percent=_cpu_percent(family),
        rss_bytes=_rss_bytes(family),
        address=program.address,
    )


def _family(state: ProgramState) -> list[psutil.Process]:
    """Give a program's process with those that it started; none when it does not run."""
    process = state.process()
    try:
        return [process, *process.children(recursive=True)] if process else []
    except psutil.NoSuchProcess:
        return []


def _cpu_percent(family: list[psutil.Process]) -> float:
    """Give the share of a core that was used since the last question."""
    total = 0.0
    for process in family:
        with suppress(psutil.NoSuchProcess):
            total += process.cpu_percent()
    return total


def _rss_bytes(family: list[psutil.Process]) -> int:
    total = 0
    for process in family:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("service", "health", "pid", "uptime", "restarts", "cpu", "rss", "address"):
        right = column in {"pid", "uptime", "restarts", "cpu", "rss"}
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        health = "[green]serves[/green]" if row.serving else f"[red]does not serve[/red] ({row.phase})"
        table.add_row(
            row.service,
            health,
            str(row.pid or "-"),
            str(timedelta(seconds=row.uptime_seconds)),
            str(row.restarts),
            f"{row.cpu_percent:.0f} %",
            f"{row.rss_bytes / MIB:.0f} MiB",
            row.address,
        )
    return table
