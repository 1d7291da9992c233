"""Child processes: start, wait for, count the CPU of, end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_END_SECONDS_MAX = 15.0
_POLL_SECONDS = 0.05


class Processes(Protocol):
    """Some processes that do one thing together."""

    def pids(self) -> list[int]:
        """List those that live."""

    def stop(self) -> None:
        """End them all."""

    def trouble(self) -> str:
        """Say why they will never be ready, or nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A child in a process group of its own, whose output goes to a log file."""

    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """List the child and its descendants."""
        root = psutil.Process(self.process.pid)
        return [root.pid, *(child.pid for child in root.children(recursive=True))]

    def stop(self) -> None:
        """End the group, by force where a request is not enough."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            os.killpg(self.process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_SECONDS_MAX)

    def trouble(self) -> str:
        """Say where to read why the child ended, or nothing."""
        return "" if self.process.poll() is None else f"{self.log.stem} ended: see {self.log}"


def start(command: list[str], log: Path, env: Mapping[str, str] | None = None) -> Server:
    """Start a server with `env` added to our environment."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    return Server(process, log)


def wait_until(ready: Callable[[], bool], processes: Processes, seconds_max: float) -> None:
    """Wait until `ready()`, or end with the reason why that will never be."""
    until = time.monotonic() + seconds_max
    while not ready():
        if trouble := processes.trouble():
            raise SystemExit(trouble)
        if time.monotonic() > until:
            raise SystemExit(f"not ready after {seconds_max:.0f} s: processes {processes.pids()}")
        time.sleep(_POLL_SECONDS)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Sum the CPU time that the living threads of these processes have used."""
    return sum(_thread_nanos(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def free_port() -> int:
    """Find a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _thread_nanos(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):  # the thread ended between the listing and the read
        return 0
