"""Start and stop the supervisor of a run directory."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil

from penstock_cli.failure import Failure
from penstock_cli.stack.log_files import last_lines, log_file, put_aside
from penstock_cli.stack.program import Program, write_programs
from penstock_cli.stack.state import StackState, is_supervised, read_state, write_state

SUPERVISOR = "supervisor"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 180.0
ORPHAN_SECONDS_MAX = 10.0
POLL_SECONDS = 0.05


def start_supervisor(run_dir: Path, programs: list[Program]) -> None:
    """Start the daemon that runs the programs, and wait until it does its work."""
    log = log_file(run_dir, SUPERVISOR)
    log.parent.mkdir(parents=True, exist_ok=True)
    end_orphans(run_dir)
    put_aside(run_dir)
    write_programs(run_dir, programs)
    write_state(run_dir, StackState())
    daemon = _spawn([sys.executable, "-m", "penstock_cli.stack.supervisor", str(run_dir)], log)
    deadline = time.monotonic() + START_SECONDS_MAX
    while not read_state(run_dir).pid:
        ended, _ = os.waitpid(daemon, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            raise Failure("the supervisor does not start", hint="\n".join(last_lines(log, 20)))
        time.sleep(POLL_SECONDS)


def _spawn(command: list[str], log: Path) -> int:
    """Start a program that outlives us: in a session of its own, with its output in a file."""
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, os.environ, file_actions=files, setsid=True)


def stop_supervisor(run_dir: Path) -> bool:
    """Drain the stack and wait for its end; tell whether there was one."""
    if not is_supervised(run_dir):
        return bool(end_orphans(run_dir))
    state = read_state(run_dir)
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while is_supervised(run_dir):
        if time.monotonic() > deadline:
            os.kill(state.pid, signal.SIGKILL)
            end_orphans(run_dir)
            raise Failure(f"killed: the stack did not drain within {STOP_SECONDS_MAX:g} s")
        time.sleep(POLL_SECONDS)
    return True


def end_orphans(run_dir: Path) -> int:
    """End programs that a killed supervisor left behind; give how many."""
    orphans = [process for program in read_state(run_dir).programs.values() if (process := program.process())]
    for process in orphans:
        process.terminate()
    _, stubborn = psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS_MAX)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=ORPHAN_SECONDS_MAX)
    return len(orphans)
