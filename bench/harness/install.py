"""Install the peers that we measure ourselves against, each in a place of its own under `.cache/bench/`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from harness.paths import BENCH, CACHE, PEERS

Command = list[str]
_BUILD_SECONDS_MAX = 1800


def litellm() -> str:
    """Install LiteLLM's proxy; return why that failed, or nothing."""
    return _python_peer("litellm", [])


def llama() -> str:
    """Build llama.cpp (about 4 minutes on 2 cores); return why that failed, or nothing."""
    return _python_peer("llama", ["--no-binary", "llama-cpp-python"])


def presidio() -> str:
    """Install Presidio's analyzer; return why that failed, or nothing."""
    return _python_peer("presidio", [])


def lm_eval() -> str:
    """Install the evaluation harness; return why that failed, or nothing."""
    return _python_peer("lm_eval", [])


def libcachesim() -> str:
    """Install libcachesim; return why that failed, or nothing."""
    return _python_peer("libcachesim", [])


def portkey() -> str:
    """Install Portkey's gateway; return why that failed, or nothing."""
    if not shutil.which("npm"):
        return "npm is missing"
    place, manifest = CACHE / "portkey", PEERS / "portkey" / "package.json"

    def install() -> list[Command]:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, place)
        return [["npm", "install", "--prefix", str(place), "--ignore-scripts", "--no-audit", "--no-fund"]]

    return _once(place, manifest.read_text(), install)


def wrk() -> None:
    """Install the load generator, Debian's, if it is missing."""
    if shutil.which("wrk"):
        return
    log = CACHE / "install-wrk.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "wrk"]):
            if not _run_with_progress("wrk", command, output.fileno()):
                raise SystemExit(f"wrk is missing: install Debian's package of that name (see {log})")


def mock_upstream() -> Path:
    """Build the mock upstream (Go's own cache makes this quick) and return the program."""
    program = CACHE / "mock_upstream"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    go = shutil.which("go", path=path)
    if go is None:
        raise SystemExit("go is missing: run `make setup`")
    subprocess.run([go, "build", "-o", str(program), "."], cwd=BENCH / "mock_upstream", check=True)
    return program


def _python_peer(name: str, options: list[str]) -> str:
    place, requirements = CACHE / name, PEERS / f"{name}.txt"
    uv = [sys.executable, "-m", "uv"]
    python = str(place / "bin" / "python")

    def install() -> list[Command]:
        return [
            [*uv, "venv", "--clear", "--python", sys.executable, str(place)],
            [*uv, "pip", "install", "--python", python, *options, "-r", str(requirements)],
        ]

    return _once(place, requirements.read_text(), install)


def _once(place: Path, pins: str, install: Callable[[], list[Command]]) -> str:
    stamp = place / ".installed"
    if stamp.exists() and stamp.read_text() == pins:
        return ""
    log = CACHE / f"install-{place.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        for command in install():
            if not _run_with_progress(place.name, ["nice", "-n", "10", *command], output.fileno()):
                return f"not installable: see {log}"
    stamp.write_text(pins)
    return ""


def _run_with_progress(name: str, command: Command, output: int) -> bool:
    started = time.monotonic()
    console = Console(stderr=True)
    with console.status(f"installing {name}") as status:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        while process.poll() is None:
            seconds = time.monotonic() - started
            if seconds > _BUILD_SECONDS_MAX:
                process.kill()
            status.update(f"installing {name}: {seconds:.0f} s")
            time.sleep(0.2)
    return process.returncode == 0
