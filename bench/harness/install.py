"""Install the peers that we measure ourselves against, each in a place of its own under `.cache/bench/`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from harness.paths import BENCH, CACHE, PEERS

LLAMA = CACHE / "llama"
LLAMA_PYTHON = LLAMA / "venv" / "bin" / "python"
LLAMA_SERVER = LLAMA / "build" / "bin" / "llama-server"

Command = list[str]
_UV = [sys.executable, "-m", "uv"]
_SILENT_SECONDS_MAX = 1800  # a slow machine may take hours, but says something now and then
_LOG_TAIL_BYTES = 400


def litellm() -> str:
    """Install LiteLLM's proxy; return why that failed, or nothing."""
    return _python_peer("litellm", [])


def llama() -> str:
    """Build llama.cpp for this machine's CPU (about 4 minutes on 2 cores); return why that failed, or nothing.

    A build that was interrupted goes on where it was.
    """
    return _once(LLAMA, _llama_pins(), _llama)


def llama_server() -> str:
    """Build its HTTP server from the same source (about 6 minutes more); return why that failed, or nothing."""
    return llama() or _once(LLAMA / "server", _llama_pins(), _llama_server)


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
    log.write_bytes(b"")
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "wrk"]):
        if not _run_with_progress("wrk", command, log):
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


_LLAMA_CMAKE = str(LLAMA / "venv" / "bin" / "cmake")
_LLAMA_ON = ("BUILD_SHARED_LIBS", "GGML_NATIVE", "LLAMA_BUILD_SERVER")
_LLAMA_OFF = (
    *("LLAMA_BUILD_UI", "LLAMA_USE_PREBUILT_UI", "LLAMA_OPENSSL"),
    *("LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_APP"),
)
_LLAMA_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    *(f"-D{name}=ON" for name in _LLAMA_ON),
    *(f"-D{name}=OFF" for name in _LLAMA_OFF),
)


def _llama_pins() -> str:
    files = [PEERS / name for name in ("llama.txt", "llama-build.txt")]
    return "".join(file.read_text() for file in files) + " ".join(_LLAMA_OPTIONS)


def _llama() -> Iterator[Command]:
    """Build the source that llama-cpp-python brings, and let its bindings find the library."""
    source, build, venv = LLAMA / "source", LLAMA / "build", LLAMA / "venv"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
    ninja = f"-DCMAKE_MAKE_PROGRAM={venv / 'bin' / 'ninja'}"
    source.mkdir(parents=True, exist_ok=True)
    yield [*_UV, "venv", "--allow-existing", "--python", sys.executable, str(venv)]
    yield [*_UV, "pip", "install", "--python", str(LLAMA_PYTHON), "-r", str(PEERS / "llama-build.txt")]
    yield [*pip, "--dest", str(LLAMA), "--requirement", str(PEERS / "llama.txt")]
    archive = max(LLAMA.glob("llama_cpp_python-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    yield ["tar", "-xzf", str(archive), "-C", str(source), "--strip-components=1"]
    llama_cpp = str(source / "vendor" / "llama.cpp")
    yield [_LLAMA_CMAKE, "-S", llama_cpp, "-B", str(build), "-G", "Ninja", ninja, *_LLAMA_OPTIONS]
    yield [_LLAMA_CMAKE, "--build", str(build), "--target", "llama"]
    (site_packages,) = venv.glob("lib/python*/site-packages")
    yield ["ln", "-sfn", str(build / "bin"), str(source / "llama_cpp" / "lib")]
    yield ["ln", "-sfn", str(source / "llama_cpp"), str(site_packages / "llama_cpp")]


def _llama_server() -> Iterator[Command]:
    (LLAMA / "server").mkdir(exist_ok=True)
    yield [_LLAMA_CMAKE, "--build", str(LLAMA / "build"), "--target", "llama-server"]


def _python_peer(name: str, options: list[str]) -> str:
    place, requirements = CACHE / name, PEERS / f"{name}.txt"
    python = str(place / "bin" / "python")

    def install() -> list[Command]:
        return [
            [*_UV, "venv", "--clear", "--python", sys.executable, str(place)],
            [*_UV, "pip", "install", "--python", python, *options, "-r", str(requirements)],
        ]

    return _once(place, requirements.read_text(), install)


def _once(place: Path, pins: str, install: Callable[[], Iterable[Command]]) -> str:
    stamp = place / ".installed"
    if stamp.exists() and stamp.read_text() == pins:
        return ""
    log = CACHE / f"install-{place.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    for command in install():
        if not _run_with_progress(place.name, ["nice", "-n", "19", *command], log):
            return f"not installable: see {log}"
    stamp.write_text(pins)
    return ""


def _run_with_progress(name: str, command: Command, log: Path) -> bool:
    """Run a command; show the last line that it logged, and end it when it is silent for too long."""
    started = time.monotonic()
    with Console(stderr=True).status(f"installing {name}") as status, log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        while process.poll() is None:
            if time.time() - log.stat().st_mtime > _SILENT_SECONDS_MAX:
                process.kill()
            status.update(f"installing {name}: {time.monotonic() - started:.0f} s {escape(_last_line(log))}")
            time.sleep(0.2)
    return process.returncode == 0


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "")
