"""One program, kept alive until it is told to stop."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from penstock_cli.stack.backoff import Backoff
from penstock_cli.stack.program import Program
from penstock_cli.stack.state import Phase, ProgramState

NOT_STARTED_EXIT_CODE = 127


class Child:
    """Starts a program, and again whenever it ends, however it ends.

    Args:
        program: what to run.
        log: file that its output is appended to.
        changed: called after each change of `state`.
    """

    def __init__(self, program: Program, log: Path, changed: Callable[[], None]) -> None:
        self.program = program
        self.state = ProgramState()
        self._log = log
        self._changed = changed
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep the program running until `stop`."""
        backoff = Backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            self.state.exit_code = await self._run_once()
            if self._stopping.is_set():
                break
            delay = backoff.delay_after(time.monotonic() - began)
            self._set(Phase.WAITING)
            self._log_event("program_ended", exit_code=self.state.exit_code, starts_again_in_seconds=delay)
            await self._pause(delay)
            self.state.restarts += not self._stopping.is_set()
        self._set(Phase.STOPPED)

    async def stop(self) -> None:
        """Let the program finish what it does; kill it when that takes too long."""
        self._stopping.set()
        if self._process is None:
            return
        self.state.phase = Phase.DRAINING
        self._changed()
        self._terminate()
        try:
            async with asyncio.timeout(self.program.drain_seconds):
                await self._process.wait()
        except TimeoutError:
            self._log_event("program_killed", drain_seconds=self.program.drain_seconds)
            self.kill()

    def kill(self) -> None:
        """End the program and what it started at once."""
        self._stopping.set()
        self._kill_group()

    async def _run_once(self) -> int:
        try:
            process = await self._start()
        except OSError as error:
            self._log_event("program_not_started", error=str(error))
            return NOT_STARTED_EXIT_CODE
        self._process = process
        if self._stopping.is_set():  # while it was being started
            self._terminate()
        self.state.pid, self.state.create_time = process.pid, _create_time(process.pid)
        self._set(Phase.RUNNING)
        exit_code = await process.wait()
        self._kill_group()  # what it started and left behind would hold its ports
        self._process = None
        self.state.pid = 0
        return exit_code

    async def _start(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=_environment(self.program),
                process_group=0,
            )

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _terminate(self) -> None:
        """Ask the program alone: how its own children end is its business."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.terminate()

    def _kill_group(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _set(self, phase: Phase) -> None:
        self.state.phase = phase
        self._changed()

    def _log_event(self, event: str, **fields: object) -> None:
        """Write into the program's own log, as a service would."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        about = {"timestamp": now, "service": "supervisor", "level": "warning", "event": event}
        with suppress(OSError), self._log.open("a") as output:  # a full disk must not end what runs
            output.write(json.dumps(about | {"program": self.program.name} | fields) + "\n")


def _environment(program: Program) -> dict[str, str]:
    secrets = {name: Path(path).read_text().strip() for name, path in program.secrets.items()}
    return {**os.environ, **program.environment, **secrets}


def _create_time(pid: int) -> float:
    try:
        created: float = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return time.time()
    return created
