"""Processes that a test starts, freezes and kills."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
# Below the ports that the kernel deals to outgoing connections: one of those may be taken again at any moment.
FREE_PORTS = range(25_000, 32_000)
FREE_PORT_TRIES_MAX = 1_000


def free_port() -> int:
    """Give a TCP port of 127.0.0.1 that nobody listens on, and that no other process of a test is given."""
    for _ in range(FREE_PORT_TRIES_MAX):
        port = secrets.choice(FREE_PORTS)
        if claim_port(port) and is_free(port):
            return port
    raise RuntimeError("no port is free")


def claim_port(port: int) -> bool:
    """Take a port's number for as long as this process lives; tell whether nobody else has it.

    Whoever holds the UDP port may listen on the TCP port of that number: so it is kept between two servers, too.
    """
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    claim.detach()  # open until the process ends
    return True


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: closing connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def as_user(args: Sequence[str], user: str | None) -> list[str]:
    """Give the command that runs a command as another user.

    Popen's own `user` forks this process whole, and gRPC's handlers of forks crash the child when calls are open.
    """
    if user is None:
        return list(args)
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *args]


class ChildProcess:
    """A child whose output goes to a file. As a context manager it is gone at the end, whatever happened."""

    def __init__(
        self, args: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 - the test's own arguments
                as_user(args, user),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._popen.poll()

    def output(self) -> str:
        """Give what it has written so far."""
        return self.log.read_text(errors="replace")

    def wait_for_port(self, port: int, seconds_max: float = START_SECONDS_MAX) -> None:
        """Wait until it listens on a port of 127.0.0.1; fail with its output when it does not."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            if self.returncode is not None:
                raise RuntimeError(f"exited {self.returncode} before listening on {port}:\n{self.output()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"not listening on {port} after {seconds_max} s:\n{self.output()}")

    def scheduling(self) -> set[int]:
        """Give the scheduling policies of its threads."""
        policies = set()
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended
                policies.add(os.sched_getscheduler(int(thread.name)))
        return policies

    def kill(self) -> None:
        """Send SIGKILL, as a crash or the OOM killer would, and wait for the end."""
        self.signal(signal.SIGKILL)
        self._popen.wait(STOP_SECONDS_MAX)

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        self.signal(signal.SIGTERM)

    def wait(self, seconds_max: float = STOP_SECONDS_MAX) -> int:
        """Wait for the end and give the exit code."""
        return self._popen.wait(seconds_max)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; to a child that has ended, none."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
