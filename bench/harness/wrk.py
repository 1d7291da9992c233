"""wrk, the load generator: closed loop, one thread, one request in flight on each connection."""

import json
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_SCRIPT = Path(__file__).with_name("post.lua")
_BODIES_APART = 1_000_000_000
_runs = count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw. Latencies are of whole requests, at the client."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    broken: int

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def post(url: str, headers: dict[str, str], body: Path, connections: int, seconds: float) -> Load:
    """POST bodies that all differ, from this run's and every other's."""
    return _run(url, headers, [str(body), str(next(_runs) * _BODIES_APART)], connections, seconds)


def post_same(url: str, headers: dict[str, str], body: Path, connections: int, seconds: float) -> Load:
    """POST the same body over and over."""
    return _run(url, headers, [str(body)], connections, seconds)


def _run(url: str, headers: dict[str, str], arguments: list[str], connections: int, seconds: float) -> Load:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "20s",
        "-s",
        str(_SCRIPT),
    ]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        [*command, url, "--", *arguments], capture_output=True, text=True, check=True, timeout=seconds + 60
    )
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))
