"""Make sure that the ports are free before anything is started."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Port:
    """A port that will be listened on, what for, and the settings that change it."""

    number: int
    purpose: str
    settings: str


class PortInUseError(Exception):
    """Ports are taken; the message names them, who holds them, and what to set."""


def check_free(ports: Iterable[Port]) -> None:
    """Raise PortInUseError when somebody listens on one of the ports."""
    taken = [port for port in ports if not _is_free(port.number)]
    if taken:
        holders = _listeners()
        raise PortInUseError("\n".join(_describe(port, holders.get(port.number)) for port in taken))


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that connections of a former server that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def _listeners() -> dict[int, psutil.Process]:
    """Give who listens on which port, as far as we may see it."""
    found: dict[int, psutil.Process] = {}
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                with suppress(psutil.NoSuchProcess):
                    found[connection.laddr.port] = psutil.Process(connection.pid)
    return found


def _describe(port: Port, holder: psutil.Process | None) -> str:
    by = "another program"
    if holder is not None:
        with suppress(psutil.Error):
            by = f"{holder.name()} (pid {holder.pid})"
    return f"port {port.number} ({port.purpose}) is in use by {by}: set {port.settings}"
