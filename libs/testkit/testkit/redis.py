"""A real Redis server of a test's own."""

import shutil
import socket
from pathlib import Path
from typing import Self

from testkit.process import ChildProcess, free_port

ANSWER_BYTES_MAX = 4096


class RedisServer:
    """redis-server on a free port, without persistence. Kill, freeze and start it again at will."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self.process = self.start()

    def start(self) -> ChildProcess:
        """Start it, again after a kill, and wait until it listens."""
        binary = shutil.which("redis-server")
        if binary is None:
            raise FileNotFoundError(
                "redis-server is not on PATH: install it (Debian: redis-server), or run make test"
            )
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [binary, *options, "--dir", str(self._directory)]
        self.process = ChildProcess(command, self._directory / "redis.log")
        self.process.wait_for_port(self.port)
        return self.process

    def flush(self) -> None:
        """Forget everything."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            answer = connection.recv(ANSWER_BYTES_MAX)
        assert answer == b"+OK\r\n", answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
