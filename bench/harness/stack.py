"""A Penstock stack of the benchmark's own: its own ports, its own data, the mock upstream as its one model."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.paths import CACHE, REPO
from harness.systems import MODEL, System

RUN_DIR = CACHE / "stack"
_PORTS = (8080, 9901, 50061, *range(50051, 50056), *range(50151, 50156))
_COMMAND_SECONDS_MAX = 120
_SKU = "bench-upstream/gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Stack:
    """The processes that `penstock up` left running."""

    env: dict[str, str]

    def pids(self) -> list[int]:
        """List the processes that run for this stack's run directory."""
        return [process.pid for process in psutil.process_iter() if _runs_for(process, RUN_DIR)]

    def stop(self) -> None:
        """Take the stack down."""
        _penstock("down", self.env)

    def trouble(self) -> str:
        """Say which process is missing, or nothing: `penstock up` has waited for all of them."""
        return ""


def penstock(upstream_base: str) -> System:
    """Start the whole stack, edge included, with its defaults, but for the mock upstream as its one model."""
    _clear()
    catalog = RUN_DIR / "catalog.yaml"
    catalog.write_text(json.dumps(_catalog(upstream_base), indent=2))
    return _up({"PENSTOCK_ROUTER_CATALOG": str(catalog)})


def penstock_with_its_models() -> System:
    """Start the whole stack, edge included, with its defaults."""
    _clear()
    return _up({})


def _clear() -> None:
    shutil.rmtree(RUN_DIR, ignore_errors=True)
    RUN_DIR.mkdir(parents=True)


def _up(more: dict[str, str]) -> System:
    env = {
        "PENSTOCK_RUN_DIR": str(RUN_DIR),
        "PENSTOCK_DATA_DIR": str(RUN_DIR / "data"),
        "PENSTOCK_PORT_OFFSET": str(_free_offset()),
        **more,
    }
    stack = Stack(env)
    _penstock("up", env)
    written = dict(line.split("=", 1) for line in (RUN_DIR / "env").read_text().splitlines() if "=" in line)
    headers = {"authorization": f"Bearer {written['PENSTOCK_API_KEY']}"}
    return System("penstock", f"{written['PENSTOCK_URL']}/v1", headers, stack)


def _penstock(verb: str, env: dict[str, str]) -> None:
    program = str(Path(sys.executable).with_name("penstock"))
    with (CACHE / f"penstock-{verb}.log").open("wb") as log:
        done = subprocess.run(
            [program, verb],
            cwd=REPO,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            timeout=_COMMAND_SECONDS_MAX,
        )
    if done.returncode:
        raise SystemExit(f"penstock {verb} failed: see {log.name}")


def _catalog(upstream_base: str) -> dict[str, object]:
    endpoint = {"name": "bench-upstream", "kind": "openai", "base_url": upstream_base}
    target = {"endpoint": "bench-upstream", "model": MODEL, "sku": _SKU}
    model = {"id": MODEL, "context_tokens": 8192, "capabilities": ["chat"], "targets": [target]}
    return {"endpoints": [endpoint], "models": [model]}


def _free_offset() -> int:
    for offset in range(1000, 9000, 250):
        if all(_is_free(port + offset) for port in _PORTS):
            return offset
    raise SystemExit("no ports are free for a second stack")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _runs_for(process: psutil.Process, run_dir: Path) -> bool:
    try:
        return process.environ().get("PENSTOCK_RUN_DIR") == str(run_dir)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False
