"""A real PostgreSQL server of a test's own."""

import itertools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from testkit.process import POLL_SECONDS, START_SECONDS_MAX, ChildProcess, as_user, free_port

COMMAND_SECONDS_MAX = 60
ROOT = 0
# PostgreSQL refuses to run as root; Debian's package brings this user.
SERVER_USER = "postgres"
RETRY_SECONDS = 0.1
_MEMORY_IN_USE = "pre-existing shared memory block"
_LAST_WORDS = 1_000


class PostgresServer:
    """PostgreSQL on a free port, one cluster in a directory. Kill, freeze and start it again at will.

    Without fsync, unless `durable`, it survives a kill of its processes as in production; only a power cut is left out.
    """

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self._unsafe = () if durable else ("fsync=off", "full_page_writes=off")
        self._binaries = _binaries()
        self._directory = directory
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._user = SERVER_USER if os.geteuid() == ROOT else None
        self._initialise()
        self.process = self.start()

    def start(self) -> ChildProcess:
        """Start it, again after a kill, and wait until it listens."""
        options = ("listen_addresses=127.0.0.1", "max_connections=50", *self._unsafe)
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", ""]
        command += [argument for option in options for argument in ("-c", option)]
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            self.process = ChildProcess(command, self._directory / "postgres.log", user=self._user)
            try:
                self.process.wait_for_port(self.port)
            except RuntimeError as error:
                # The children of a killed server hold its memory until they notice that it is gone.
                if _MEMORY_IN_USE not in str(error)[-_LAST_WORDS:] or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                self._wait_until_ready()
                return self.process

    def url(self, database: str) -> str:
        """Give the URL of a database."""
        return f"postgresql://{SERVER_USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Create an empty database and give its URL."""
        name = next(self._names)
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", SERVER_USER, name)
        return self.url(name)

    def _wait_until_ready(self) -> None:
        """Wait for the end of crash recovery: meanwhile it listens and rejects."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port))
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _initialise(self) -> None:
        if self._user is not None:
            _let_in(self._directory, self._user)
        self._run(
            "initdb", "-D", str(self._data), "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--no-sync"
        )

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own arguments
            as_user([str(self._binaries / program), *args], self._user),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            cwd="/",
        )
        if done.returncode:
            raise RuntimeError(f"{program} exited {done.returncode}:\n{done.stdout}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        # SIGINT is its fast shutdown: clients are disconnected, children end, shared memory is given back.
        self.process.signal(signal.SIGINT)
        try:
            self.process.wait()
        finally:
            self.process.kill()


def _binaries() -> Path:
    """Find the newest server: on PATH, or where Debian puts it."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("no PostgreSQL found: install it (Debian: postgresql), or run make test")
    return found[-1].parent


def _let_in(directory: Path, user: str) -> None:
    """Give a directory to the server's user, and let it pass through the parents pytest made for us alone."""
    shutil.chown(directory, user)
    for parent in directory.parents:
        if parent.stat().st_uid == ROOT and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o001)
