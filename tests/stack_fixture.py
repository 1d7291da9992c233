"""The whole stack behind the real edge, as `make up` starts it, on ports and in a directory of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from penstock_cli.stack.state import read_state
from testkit.process import claim_port, is_free
from testkit.waiting import until_now

ROOT = Path(__file__).resolve().parents[1]
PENSTOCK = Path(sys.executable).with_name("penstock")
MODEL = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
ORGANIZATION = "organizations/dev"
# Past the ports that the kernel deals to outgoing connections; two that are so far apart share no port.
OFFSETS = range(11_000, 15_001, 200)
EDGE_PORT = 8080
# A busy machine is no reason to miss.
PATIENT = {"PENSTOCK_ROUTER_CACHE_SECONDS_MAX": "5", "PENSTOCK_CACHE_SEMANTIC_LOOKUP_SECONDS_MAX": "4"}


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
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=120, **more)

    def pid(self, name: str) -> int:
        """Give the process of a program, once it runs."""
        return until_now(lambda: read_state(self.run_dir).programs[name].pid)

    def usage_records(self, operation_id: str) -> list[dict[str, Any]]:
        """Give the ledger's lines of an operation, once there are any."""

        def records() -> list[dict[str, Any]]:
            with self.client() as client:
                asked = client.get(f"/v1/{ORGANIZATION}/usageRecords", params={"operation_id": operation_id})
            found: list[dict[str, Any]] = asked.raise_for_status().json().get("usage_records", [])
            return found

        return until_now(records)

    def key_of_team(self, team: str) -> dict[str, str]:
        """Make a key that acts for a team, and give the header that bears it."""
        with self.client() as client:
            body = {"api_key": {"roles": ["business_user"], "team": team}}
            made = client.post(f"/v1/{ORGANIZATION}/apiKeys", json=body).raise_for_status().json()
        return {"authorization": f"Bearer {made['secret']}"}


def ask(text: str, **more: Any) -> dict[str, Any]:
    """Write the body of a chat completion."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


@contextmanager
def running_stack(run_dir: Path, **settings: str) -> Iterator[Stack]:
    """Start a stack and stop it again."""
    offset = next(
        offset for offset in OFFSETS if claim_port(EDGE_PORT + offset) and is_free(EDGE_PORT + offset)
    )
    environment = {
        "PENSTOCK_RUN_DIR": str(run_dir),
        "PENSTOCK_PORT_OFFSET": str(offset),
        **PATIENT,
        **settings,
    }

    def penstock(verb: str) -> subprocess.CompletedProcess[str]:
        whole = os.environ | environment
        return subprocess.run(
            [str(PENSTOCK), verb],
            env=whole,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    try:
        started = penstock("up")
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
