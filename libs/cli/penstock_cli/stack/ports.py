"""Make sure that the ports are free before anything is started."""

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

# An outgoing connection of any program may have one of the ports for a moment: the kernel deals from their range.
PATIENCE_SECONDS = 3.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Port:
    """A port that will be listened on, what for, and the settings that change it."""

    number: int
    purpose: str
    settings: str


class PortInUseError(Exception):
    """Ports are taken; the message names them, who holds them, and what to set."""


def check_free(ports: Iterable[Port]) -> None:
    """Raise PortInUseError when one of the ports is held: at once by who listens on it, else after some patience."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    taken = [port for port in ports if not _is_free(port.number)]
    while taken:
        holders = _holders({port.number for port in taken})
        if any(is_listening for _, is_listening in holders.values()) or time.monotonic() > deadline:
            raise PortInUseError("\n".join(_describe(port, holders) for port in taken))
        time.sleep(POLL_SECONDS)
        taken = [port for port in taken if not _is_free(port.number)]


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that connections of a former server that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def _holders(numbers: set[int]) -> dict[int, tuple[str, bool]]:
    """Give who holds which port, and whether by listening on it, as far as we may see it."""
    found: dict[int, tuple[str, bool]] = {}
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            number = connection.laddr.port if connection.laddr else 0
            is_listening = connection.status == psutil.CONN_LISTEN
            if number in numbers and (is_listening or number not in found):
                found[number] = _name(connection.pid), is_listening
    return found


def _name(pid: int | None) -> str:
    with suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "another program"
    return "another program"


def _describe(port: Port, holders: dict[int, tuple[str, bool]]) -> str:
    name, is_listening = holders.get(port.number, ("another program", True))
    how = "" if is_listening else " for a connection"
    return f"port {port.number} ({port.purpose}) is in use by {name}{how}: set {port.settings}"
