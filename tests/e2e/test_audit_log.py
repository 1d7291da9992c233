"""The audit log through the real edge: cosigned by a witness, and verified by what the witness signed."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest
from stack_fixture import PENSTOCK, ROOT, Stack, ask

pytestmark = pytest.mark.stack


def test_a_log_is_cosigned_and_verified_by_the_key_of_its_witness_alone(stack: Stack, tmp_path: Path) -> None:
    def penstock(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = (
            os.environ | stack.environment | {"PENSTOCK_URL": stack.url, "PENSTOCK_API_KEY": stack.key}
        )
        done = subprocess.run(
            [str(PENSTOCK), "audit", *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    with stack.client() as client:
        client.post(
            "/v1/chat/completions", json=ask("What is the capital of Malta? One word.", max_tokens=16)
        ).raise_for_status()
    key = tmp_path / "witness.key"
    key.write_text(secrets.token_hex(32))
    signed = penstock("witness", str(tmp_path / "state"), "--name", "example.org/w", "--key", str(key))
    witness_key = signed.stderr.partition("witness key ")[2].strip()
    verified = penstock("verify", "--witness", witness_key)
    assert "example.org/w signed are its beginning" in " ".join(verified.stdout.split())
