"""An organization's own say over its cached answers, through the real edge."""

from typing import Any

import pytest
from stack_fixture import ORGANIZATION, Stack, ask
from testkit.waiting import until_now

pytestmark = pytest.mark.stack

CACHE = f"/v1/{ORGANIZATION}/answerCache"


def answered(client: Any, question: dict[str, Any]) -> Any:
    return client.post("/v1/chat/completions", json=question).raise_for_status().json()["penstock"]


def until_kept(client: Any, question: dict[str, Any]) -> Any:
    """Ask until the answer comes from the cache, not from a flight that just ended, and give its receipt."""

    def kept() -> Any:
        receipt = answered(client, question)
        return receipt if receipt.get("cache_entry_id") else None

    return until_now(kept)


def test_an_answer_is_forgotten_by_its_label_and_that_can_be_proved(stack: Stack) -> None:
    question = ask(
        "What is the capital of Spain? One word.", cache_control={"tags": ["spain"]}, max_tokens=64
    )
    with stack.client() as client:
        receipt = until_kept(client, question)
        assert receipt["cache"] == "CACHE_STATUS_EXACT_HIT"
        before = client.get(CACHE).raise_for_status().json()
        assert int(before["exact_hits"]) >= 1
        assert int(before["saved_cost_nanos"]) >= int(receipt["avoided_cost_nanos"]) > 0
        selector = {"tag": "spain"}
        forgotten = client.post(f"{CACHE}:invalidate", json={"selector": selector}).raise_for_status().json()
        assert forgotten["entries"] >= 1
        body = {"selector": selector, "receipt": forgotten["receipt"]}
        holds = client.post(f"{CACHE}:verify", json=body).raise_for_status().json()
        assert set(holds.values()) == {True}
        assert answered(client, question)["cache"] == "CACHE_STATUS_MISS"


def test_prompt_versions_share_no_answers_and_each_is_forgotten_by_itself(stack: Stack) -> None:
    old, new = (
        ask("Name a colour.", cache_control={"prompt_version": version}, max_tokens=64)
        for version in ("colours-1", "colours-2")
    )
    with stack.client() as client:
        until_kept(client, old)
        assert answered(client, new)["cache"] == "CACHE_STATUS_MISS"
        until_kept(client, new)
        selector = {"prompt_version": "colours-1"}
        client.post(f"{CACHE}:invalidate", json={"selector": selector}).raise_for_status()
        assert answered(client, new)["cache_tier"] == "CACHE_TIER_L1"
        assert answered(client, old)["cache"] == "CACHE_STATUS_MISS"


def test_a_header_forbids_to_be_answered_from_the_cache(stack: Stack) -> None:
    question = ask("Name a fruit.", max_tokens=64)
    with stack.client() as client:
        until_kept(client, question)
        for directive, name in (("max-age=60", "exact-hit"), ("no-cache", "bypass")):
            answer = client.post(
                "/v1/chat/completions", json=question, headers={"cache-control": directive}
            ).raise_for_status()
            assert answer.headers["x-penstock-cache"] == name


def test_an_answer_that_nobody_knows_cannot_be_reported(stack: Stack) -> None:
    with stack.client() as client:
        verdict = {"verdict": "VERDICT_WRONG"}
        response = client.post(f"/v1/{ORGANIZATION}/cachedAnswers/{'ab' * 32}:report", json=verdict)
    assert response.status_code == 404
    assert response.json()["error"]["reason"] == "RESOURCE_NOT_FOUND"
