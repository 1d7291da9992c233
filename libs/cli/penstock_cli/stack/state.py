"""What the supervisor tells the world: one JSON file, always whole, and a lock that is held while it lives."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

LOCK_SECONDS_MAX = 2.0
POLL_SECONDS = 0.02


class Phase(StrEnum):
    """Where a program is in its life."""

    RUNNING = "running"
    WAITING = "waiting"  # it died and will be started again
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(slots=True)
class ProgramState:
    """One program, now. Times are seconds since the epoch."""

    phase: Phase = Phase.STOPPED
    pid: int = 0
    create_time: float = 0.0
    restarts: int = 0
    exit_code: int | None = None

    def process(self) -> psutil.Process | None:
        """Give the live process, None when it is gone; a pid that was given to another program is not it."""
        return find_process(self.pid, self.create_time)


@dataclass(slots=True)
class StackState:
    """The supervisor and all its programs, now."""

    pid: int = 0
    start_time: float = 0.0
    programs: dict[str, ProgramState] = field(default_factory=dict)


def find_process(pid: int, create_time: float) -> psutil.Process | None:
    """Give the live process of that pid, unless it began at another time."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - create_time) > 1:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def write_state(run_dir: Path, state: StackState) -> None:
    """Write the state in one step, so that no reader sees half of it."""
    draft = _state_file(run_dir).with_suffix(".draft")
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n")
    draft.replace(_state_file(run_dir))


def read_state(run_dir: Path) -> StackState:
    """Read the last state that was written; an empty one when there is none."""
    try:
        values = json.loads(_state_file(run_dir).read_text())
    except FileNotFoundError:
        return StackState()
    programs = {
        name: ProgramState(**{**program, "phase": Phase(program["phase"])})
        for name, program in values["programs"].items()
    }
    return StackState(values["pid"], values["start_time"], programs)


def is_supervised(run_dir: Path) -> bool:
    """Tell whether a supervisor lives, whatever the state file says."""
    if not _lock_file(run_dir).exists():
        return False
    with _lock_file(run_dir).open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def supervisor_lock(run_dir: Path) -> Iterator[None]:
    """Be the one supervisor of a run directory; the kernel lets go of the lock however the process ends.

    Raises:
        BlockingIOError: another one is.
    """
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    with _lock_file(run_dir).open("ab") as opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # is_supervised holds it for a moment, another supervisor for good
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)
        os.set_inheritable(opened.fileno(), False)
        yield


def _state_file(run_dir: Path) -> Path:
    return run_dir / "state.json"


def _lock_file(run_dir: Path) -> Path:
    return run_dir / "supervisor.lock"
