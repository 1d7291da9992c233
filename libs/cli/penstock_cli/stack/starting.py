"""Wait until every program serves, or tell why one does not."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_cli.failure import Failure
from penstock_cli.log_line import readable
from penstock_cli.stack.health import HealthChecker, health_checker
from penstock_cli.stack.log_files import last_lines, log_file
from penstock_cli.stack.program import Program
from penstock_cli.stack.state import Phase, ProgramState, is_supervised, read_state

POLL_SECONDS = 0.1
DEATHS_MAX = 3
LOG_LINES = 15


@dataclass(slots=True)
class Progress:
    """How far one program is."""

    state: ProgramState
    ready_after_seconds: float | None = None


Show = Callable[[dict[str, Progress]], None]


async def wait_until_serving(
    run_dir: Path, programs: Sequence[Program], show: Show, seconds_max: float
) -> None:
    """Poll until all health checks serve, showing the progress of each program.

    Raises:
        Failure: a program keeps ending, has a bad setting, or takes too long; with the last lines of its log.
    """
    began = time.monotonic()
    deaths_before = {name: program.restarts for name, program in read_state(run_dir).programs.items()}
    progress = {program.name: Progress(ProgramState()) for program in programs}
    async with health_checker() as checker:
        while True:
            states = read_state(run_dir).programs
            for name, each in progress.items():
                each.state = states.get(name, each.state)
            for name in await _newly_serving(checker, _next(programs, progress)):
                progress[name].ready_after_seconds = time.monotonic() - began
            show(progress)
            waiting = _next(programs, progress)
            if not waiting:
                return
            _check_alive(run_dir)
            for name, each in progress.items():
                if each.ready_after_seconds is None:
                    _check_not_dying(run_dir, name, each.state, deaths_before.get(name, 0))
            if time.monotonic() - began > seconds_max:
                raise _failed(run_dir, waiting[0].name, f"does not serve after {seconds_max:g} s")
            await asyncio.sleep(POLL_SECONDS)


def _next(programs: Sequence[Program], progress: dict[str, Progress]) -> list[Program]:
    """Give those that are waited for now: what stops first stands on what stops later, and cannot serve before it."""
    waiting = [program for program in programs if progress[program.name].ready_after_seconds is None]
    stage = max((program.stop_stage for program in waiting), default=0)
    return [program for program in waiting if program.stop_stage == stage]


async def _newly_serving(checker: HealthChecker, programs: Sequence[Program]) -> list[str]:
    return [name for name, serving in (await checker.serving(programs)).items() if serving]


def _check_alive(run_dir: Path) -> None:
    if not is_supervised(run_dir):
        raise _failed(run_dir, "supervisor", "ended")


def _check_not_dying(run_dir: Path, name: str, state: ProgramState, deaths_before: int) -> None:
    # One death says little: a passing connection of any program may have had its port.
    if state.restarts + (state.phase is Phase.WAITING) - deaths_before >= DEATHS_MAX:
        raise _failed(run_dir, name, f"keeps ending (exit code {state.exit_code})")


def _failed(run_dir: Path, name: str, what: str) -> Failure:
    log = log_file(run_dir, name)
    lines = [readable(line).plain for line in last_lines(log, LOG_LINES)]
    return Failure(f"{name} {what}", hint="\n".join([f"Last lines of {log}:", *lines]))
