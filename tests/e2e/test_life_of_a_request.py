"""What a request leaves behind: its answer, its receipt, its line in the ledger, and nothing it should not."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from stack_fixture import MODEL, ORGANIZATION, Stack, ask
from testkit.waiting import until_now

pytestmark = pytest.mark.stack

EMAIL = "ada.lovelace@example.com"
CARD = "4111 1111 1111 1111"


def events(response: Any) -> list[Any]:
    """Read the data of server-sent events as they are."""
    lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def test_an_answer_comes_with_its_cost_and_stands_in_the_ledger(stack: Stack) -> None:
    with stack.client() as client:
        answer = client.post("/v1/chat/completions", json=ask("Name three colours.", max_tokens=24))
    body = answer.json()
    receipt = body["penstock"]
    assert int(receipt["cost_nanos"]) > 0
    assert len(receipt["trace_id"]) == 32
    assert answer.headers["x-request-id"]
    (record,) = stack.usage_records(receipt["request_id"])
    assert record["cost_nanos"] == receipt["cost_nanos"]
    assert record["tokens"]["output"] == body["usage"]["completion_tokens"]
    assert record["outcome"] == "ATTEMPT_OUTCOME_SUCCEEDED"


def test_a_wrong_charge_is_corrected_by_an_administrator(stack: Stack) -> None:
    with stack.client() as client:
        answer = client.post("/v1/chat/completions", json=ask("Name three birds.", max_tokens=8)).json()
        operation = answer["penstock"]["request_id"]
        (wrong,) = stack.usage_records(operation)
        correction = {"operation_id": operation, "reason": "a test", "request_id": operation}
        made = client.post(f"/v1/{ORGANIZATION}/usageCorrections", json=correction).raise_for_status()
    assert (made.json()["reversed_nanos"], made.json()["cost_nanos"]) == (wrong["cost_nanos"], "0")
    assert made.json()["actor"]
    reversal, first = stack.usage_records(operation)
    assert (reversal["reversal"], int(reversal["cost_nanos"])) == (True, -int(wrong["cost_nanos"]))
    assert first == wrong


def test_asked_again_it_comes_from_the_cache_for_nothing(stack: Stack) -> None:
    question = ask("What is the capital of Italy? Answer in one short sentence.", max_tokens=64)
    with stack.client() as client:
        first = client.post("/v1/chat/completions", json=question).json()
        assert first["choices"][0]["finish_reason"] == "stop", first

        def answered_from_memory() -> Any:
            answer = client.post("/v1/chat/completions", json=question).json()
            return answer if answer["penstock"]["cache"] == "CACHE_STATUS_EXACT_HIT" else None

        again = until_now(answered_from_memory)
    assert again["choices"] == first["choices"]
    assert again["penstock"].get("cost_nanos", "0") == "0"
    assert again["penstock"]["avoided_cost_nanos"] == first["penstock"]["cost_nanos"]
    (record,) = stack.usage_records(again["penstock"]["request_id"])
    assert record["outcome"] == "ATTEMPT_OUTCOME_CACHE_HIT"


def test_equal_questions_at_the_same_time_are_generated_and_paid_once(stack: Stack) -> None:
    question = ask("Tell a story of the lighthouse and the whale.", max_tokens=120)

    def answered(_: int) -> Any:
        with stack.client() as client:
            return client.post("/v1/chat/completions", json=question).raise_for_status().json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answered, range(8)))
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
    costs = sorted(int(answer["penstock"]["cost_nanos"]) for answer in answers)
    assert costs[:-1] == [0] * 7
    assert costs[-1] > 0


def test_what_was_asked_in_other_words_is_answered_from_memory_where_that_is_wanted(stack: Stack) -> None:
    control = {"cache_control": {"semantic": True}}
    asked = ask("How do I reset my online banking password?", max_tokens=16, **control)
    other = ask("How can I reset the password of my online banking?", max_tokens=16, **control)
    opposite = ask("How do I keep my online banking password?", max_tokens=16, **control)
    with stack.client() as client:
        first = client.post("/v1/chat/completions", json=asked).raise_for_status().json()
        for _ in range(50):
            again = client.post("/v1/chat/completions", json=other).raise_for_status()
            if again.headers["x-penstock-cache"] == "semantic-hit":
                break
            other["seed"] = asked["seed"] = (
                other.get("seed", 0) + 1
            )  # a room of its own: what was generated is kept
            first = client.post("/v1/chat/completions", json=asked).raise_for_status().json()
        not_asked = client.post("/v1/chat/completions", json=opposite | {"seed": asked.get("seed", 0)})
    assert again.headers["x-penstock-cache"] == "semantic-hit"
    assert again.json()["choices"] == first["choices"]
    assert 0 < again.json()["penstock"]["cache_similarity"] < 1
    assert not_asked.headers["x-penstock-cache"] == "miss"


@pytest.mark.parametrize("stream", [False, True])
def test_an_address_and_a_card_never_reach_the_model(stack: Stack, stream: bool) -> None:
    text = f"Repeat exactly: my e-mail is {EMAIL} and my card is {CARD}."
    with stack.client() as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=ask(text, stream=True)) as response:
                *_, last, done = events(response)
                assert done == "[DONE]"
                receipt = json.loads(last)["penstock"]
        else:
            receipt = client.post("/v1/chat/completions", json=ask(text)).json()["penstock"]
    assert {"EMAIL_ADDRESS", "CREDIT_CARD"} <= set(receipt["redacted_types"])
    logs = "".join(path.read_text(errors="replace") for path in stack.run_dir.glob("logs/*.log*"))
    assert EMAIL not in logs
    assert CARD not in logs
    journals = [p for p in (stack.run_dir / "data").rglob("*") if p.is_file()]
    assert journals
    for path in journals:
        with suppress(FileNotFoundError):  # it was delivered and is done with
            kept = path.read_bytes()
            assert EMAIL.encode() not in kept, path
            assert CARD.encode() not in kept, path


def test_a_private_key_is_refused_and_costs_nothing(stack: Stack) -> None:
    key = (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA" + "a1B2" * 40 + "\n-----END RSA PRIVATE KEY-----"
    )
    with stack.client() as client:
        refused = client.post("/v1/chat/completions", json=ask(f"What is this? {key}"))
    assert refused.status_code == 400
    assert refused.json()["error"]["reason"] == "CONTENT_REFUSED"
    assert refused.json()["error"]["code"] == "content_filter"


def test_a_stream_is_framed_as_openai_frames_it(stack: Stack) -> None:
    with (
        stack.client() as client,
        client.stream(
            "POST",
            "/v1/chat/completions",
            json=ask("Count to five.", stream=True, max_tokens=16, stream_options={"include_usage": True}),
        ) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        *chunks, done = events(response)
    assert done == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    assert {chunk["object"] for chunk in parsed} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in parsed}) == 1
    assert parsed[0]["choices"][0]["delta"]["role"] == "assistant"
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"]["completion_tokens"] > 0
    assert parsed[-1]["penstock"]["request_id"]


def test_a_caller_that_hangs_up_stops_the_generation_and_pays_for_what_was_made(stack: Stack) -> None:
    """BerriAI/litellm#30630, maximhq/bifrost#3164."""
    question = ask("Write a very long story about the sea.", stream=True, max_tokens=1500, ignore_eos=True)
    with stack.client() as client, client.stream("POST", "/v1/chat/completions", json=question) as response:
        lines = response.iter_lines()
        seen = 0
        operation = ""
        for line in lines:
            if line.startswith("data: "):
                operation = json.loads(line.removeprefix("data: "))["id"].removeprefix("chatcmpl-")
                seen += 1
            if seen == 5:
                break
    (record,) = stack.usage_records(operation)
    assert record["outcome"] == "ATTEMPT_OUTCOME_CANCELLED"
    assert 5 <= record["tokens"]["output"] < 1500
    assert not record.get("estimated")


def test_usage_sums_to_what_its_lines_cost(stack: Stack) -> None:
    with stack.client() as client:
        body = client.post("/v1/chat/completions", json=ask("Say hello.", max_tokens=8)).json()
        stack.usage_records(body["penstock"]["request_id"])

        def sums() -> dict[str, int]:
            asked = {"group_by": ["USAGE_DIMENSION_MODEL"]}
            rows = client.get(f"/v1/{ORGANIZATION}/usage", params=asked).json()["rows"]
            return {row["group"][0]: int(row.get("cost_nanos", 0)) for row in rows}

        # What other tests left may come in between.
        until_now(lambda: sum(sums().values()) == sum(costs_of_lines(client)))
        assert MODEL in sums()


def costs_of_lines(client: httpx.Client) -> Iterator[int]:
    """Read the whole ledger, page by page."""
    token = ""
    while True:
        asked = {"page_size": 1000, "page_token": token}
        page = client.get(f"/v1/{ORGANIZATION}/usageRecords", params=asked).json()
        yield from (int(line.get("cost_nanos", 0)) for line in page["usage_records"])
        if not (token := page.get("next_page_token", "")):
            return


def test_a_budget_binds_and_a_clamped_answer_says_so(stack: Stack) -> None:
    with stack.client() as client:
        bound = stack.key_of_team("small")
        budget = client.post(
            f"/v1/{ORGANIZATION}/budgets",
            params={"budget_id": "small"},
            json={"team": "small", "amount_nanos": "3000"},
        )
        assert budget.status_code == 200, budget.text
        answers = []
        for number in range(60):
            question = ask(f"Tell me about the number {number}.", max_tokens=512)
            answers.append(client.post("/v1/chat/completions", json=question, headers=bound))
            if answers[-1].status_code != 200:
                break
        refused = answers[-1]
        assert refused.status_code == 429
        assert refused.json()["error"]["reason"] == "BUDGET_EXCEEDED"
        assert refused.json()["error"]["code"] == "insufficient_quota"
        assert any(a.json()["penstock"].get("clamped_max_tokens") for a in answers[:-1])
        for answer in answers[:-1]:
            stack.usage_records(answer.json()["penstock"]["request_id"])
        spent = client.get(f"/v1/{ORGANIZATION}/budgets/small").json()
    assert int(spent["spent_nanos"]) <= 3000
    assert int(spent.get("held_nanos", 0)) == 0


def test_a_rate_says_in_headers_what_is_left_and_when_to_come_back(stack: Stack) -> None:
    with stack.client() as client:
        bound = stack.key_of_team("rated")
        limit = {"unit": "LIMIT_UNIT_REQUESTS", "window": "LIMIT_WINDOW_DAY", "value": "2"}
        made = client.post(
            f"/v1/{ORGANIZATION}/limits",
            params={"limit_id": "rated"},
            json={**limit, "scope": "LIMIT_SCOPE_TEAM", "subject": "rated"},
        )
        assert made.status_code == 200, made.text
        one, two, refused = (
            client.post(
                "/v1/chat/completions",
                json=ask(f"Name the number after {n}.", max_tokens=8, stream=n == 1),
                headers=bound,
            )
            for n in range(3)
        )
        left = client.get(f"/v1/{ORGANIZATION}/limits/rated").json()
    for answer, code, remaining in ((one, 200, "1"), (two, 200, "0"), (refused, 429, "0")):
        assert answer.status_code == code, answer.text
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
        assert answer.headers["x-ratelimit-remaining-requests"] == remaining
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    # One of two a day flows in again after twelve hours.
    assert 12 * 3600 - 600 < int(refused.headers["retry-after"]) <= 12 * 3600
    assert (left.get("remaining", "0"), left["tightest"]) == ("0", "rated")
