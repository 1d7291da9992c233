"""The whole stack behind the real edge, as `make up` starts it, on ports and in a directory of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from penstock_cli.stack.state import read_state

ROOT = Path(__file__).resolve().parents[1]
PENSTOCK = Path(sys.executable).with_name("penstock")
MODEL = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
ORGANIZATION = "organizations/dev"
MOVES_MAX = 3
MOVE_PORTS = 300


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    url: str
    grpc: str
    key: str
    run_dir: Path
    environment: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, **more)

    def pid(self, name: str) -> int:
        """Give the process of a program as it runs now."""
        return read_state(self.run_dir).programs[name].pid

    def usage_records(self, operation_id: str) -> list[dict[str, Any]]:
        """Give the ledger's lines of an operation, once there are any."""
        for _ in range(100):
            with self.client() as client:
                response = client.get(
                    f"/v1/{ORGANIZATION}/usageRecords", params={"operation_id": operation_id}
                )
            response.raise_for_status()
            records: list[dict[str, Any]] = response.json().get("usage_records", [])
            if records:
                return records
            time.sleep(0.1)
        return []


def ask(text: str, **more: Any) -> dict[str, Any]:
    """Write the body of a chat completion."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


@contextmanager
def running_stack(run_dir: Path, offset: int, **settings: str) -> Iterator[Stack]:
    """Start a stack and stop it again."""
    environment = {"PENSTOCK_RUN_DIR": str(run_dir), "PENSTOCK_PORT_OFFSET": str(offset), **settings}

    def penstock(verb: str) -> subprocess.CompletedProcess[str]:
        whole = os.environ | environment
        return subprocess.run(
            [str(PENSTOCK), verb],
            env=whole,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    started = penstock("up")
    for _ in range(
        MOVES_MAX
    ):  # the kernel may have given one of our ports to a connection of somebody else's
        if started.returncode == 0 or "in use" not in started.stdout + started.stderr:
            break
        offset += MOVE_PORTS
        environment["PENSTOCK_PORT_OFFSET"] = str(offset)
        started = penstock("up")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        lines = (run_dir / "env").read_text()
        written = dict(re.findall(r"^(?:export )?(\w+)=['\"]?(.*?)['\"]?$", lines, re.MULTILINE))
        yield Stack(
            written["PENSTOCK_URL"],
            written["PENSTOCK_GRPC"],
            written["PENSTOCK_API_KEY"],
            run_dir,
            environment,
        )
    finally:
        penstock("down")
