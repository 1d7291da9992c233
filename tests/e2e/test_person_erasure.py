"""A person is forgotten by every service in one call, through the real edge."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest
from stack_fixture import ORGANIZATION, PENSTOCK, ROOT, Stack, ask
from testkit.waiting import until_now

pytestmark = pytest.mark.stack

QUESTION = ask("My card is 4111 1111 1111 1111. What is the capital of Norway? One word.", max_tokens=16)


def key_of(stack: Stack, user: str) -> dict[str, str]:
    """Make a key that acts for a user."""
    with stack.client() as client:
        body = {"api_key": {"roles": ["business_user"], "user": user}}
        made = client.post(f"/v1/{ORGANIZATION}/apiKeys", json=body).raise_for_status().json()
    return {"authorization": f"Bearer {made['secret']}"}


def asked(client: httpx.Client, key: dict[str, str]) -> str:
    """Ask as the user, and tell where the answer came from."""
    answer = client.post("/v1/chat/completions", json=QUESTION, headers=key).raise_for_status().json()
    return str(answer["penstock"]["cache"])


def test_a_person_is_erased_everywhere_by_one_call_that_may_be_repeated_and_is_proved(
    stack: Stack, tmp_path: Path
) -> None:
    def penstock(*arguments: str) -> subprocess.CompletedProcess[str]:
        whole = os.environ | stack.environment | {"PENSTOCK_URL": stack.url, "PENSTOCK_API_KEY": stack.key}
        command = [str(PENSTOCK), *arguments]
        return subprocess.run(
            command, env=whole, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    ada = key_of(stack, "ada")
    with stack.client() as client:
        until_now(lambda: asked(client, ada) == "CACHE_STATUS_EXACT_HIT")
        refused = client.post(f"/v1/{ORGANIZATION}/persons:erase", json={"user": "ada"}, headers=ada)
        assert refused.status_code == 403
        first = (
            client.post(f"/v1/{ORGANIZATION}/persons:erase", json={"user": "ada"}).raise_for_status().json()
        )
        assert first["guardrail"]["sessions"] >= 1
        assert first["cache_entries"] >= 1
        assert {kept["service"] for kept in first["kept"]} == {"billing", "router"}
        assert asked(client, ada) == "CACHE_STATUS_MISS"
    again = penstock("erase", "person", "ada", "--organization", "dev")
    assert again.returncode == 0, again.stderr
    (tmp_path / "ada.json").write_text(again.stdout)
    verified = penstock("erase", "verify", str(tmp_path / "ada.json"))
    assert verified.returncode == 0, verified.stdout + verified.stderr
