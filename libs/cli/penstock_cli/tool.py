"""Run a service's tools: programs of its package that work on this machine's files and need no stack.

The command knows no service's code, so a tool is a process of its own. Each line that it writes is a JSON object with
one field: `progress` (a phase, how much of it is done, of how much), `result`, or `failure` (why there is none).
"""

import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from penstock_cli.console import err
from penstock_cli.failure import Failure

OnProgress = Callable[[str, int, int], None]
COMPLAINT_LINES_MAX = 5


def run_tool(module: str, arguments: Sequence[str], on_progress: OnProgress) -> Any:
    """Run a tool to its end and give its result. Raises Failure with what it said if it has none."""
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise Failure(f"{package} is not installed here", hint=f"pip install {package.replace('_', '-')}")
    command = [sys.executable, "-m", module, *arguments]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as process,  # noqa: S603
    ):
        try:
            assert process.stdout
            for line in process.stdout:
                match json.loads(line):
                    case {"progress": [phase, done, total]}:
                        on_progress(phase, done, total)
                    case {"result": result}:
                        return result
                    case {"failure": message}:
                        raise Failure(message)
            raise _death(module, process.wait(), complaints)
        finally:
            process.terminate()


def run_with_bars(module: str, arguments: Sequence[str]) -> Any:
    """Run a tool, and show on a terminal how far it is, a bar for each phase."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done)

        return run_tool(module, arguments, show)


def _death(module: str, exit_code: int, complaints: IO[str]) -> Failure:
    if exit_code == -signal.SIGKILL:
        return Failure(f"{module} was killed", hint="The machine may have run out of memory.")
    complaints.seek(0)
    last = complaints.read().splitlines()[-COMPLAINT_LINES_MAX:]
    return Failure(f"{module} ended with {exit_code} and no result", hint="\n".join(last))
