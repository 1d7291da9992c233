"""Any process may be killed or stopped under load: callers are told the truth, and the stack comes back by itself."""

import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from load import Load, Outcome
from penstock_cli.stack.state import read_state
from penstock_inference.usage_record import read_segment
from stack_fixture import ORGANIZATION, Stack, ask, running_stack
from testkit.waiting import until_now

pytestmark = pytest.mark.stack

SERVICES = ["inference", "router", "guardrail", "cache", "billing"]
RECOVERY_SECONDS_MAX = 90
LEASE_SECONDS = 3


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    short = {"PENSTOCK_ROUTER_LEASE_SECONDS": str(LEASE_SECONDS)}
    with running_stack(tmp_path_factory.mktemp("chaos"), **short) as stack:
        yield stack


def recovered(stack: Stack) -> bool:
    """Tell whether five requests in a row are answered, in bounded time."""
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    good = 0
    while time.monotonic() < deadline and good < 5:
        try:
            with stack.client() as client:
                question = ask(f"Say {time.monotonic()}.", max_tokens=2)
                good = (
                    good + 1 if client.post("/v1/chat/completions", json=question).status_code == 200 else 0
                )
        except httpx.HTTPError:
            good = 0
        time.sleep(0.05)
    return good == 5


def truthful(outcome: Outcome, *, edge_may_die: bool = False) -> bool:
    """Tell whether a caller knows what became of its request: whole, or an error that says why."""
    if outcome.fault:
        return edge_may_die
    if outcome.status == 200:
        return outcome.done != ("error" in outcome.body)
    return outcome.status >= 429 and bool(outcome.reason)


def was_accepted(outcome: Outcome, at: float, admission_seconds: float) -> bool:
    """Tell whether a request was under way by a moment: its first part was there, or it had time enough to be."""
    if outcome.streamed:
        return 0 < outcome.first_part < at
    return outcome.began < at - admission_seconds


def check_ledger(stack: Stack, outcomes: list[Outcome]) -> None:
    """Every answer that was given whole stands in the ledger once, at the cost its receipt says."""
    for outcome in [o for o in outcomes if o.status == 200 and o.done and "penstock" in o.body]:
        receipt = outcome.body["penstock"]
        records = stack.usage_records(receipt["request_id"])
        assert len(records) == 1, receipt
        assert records[0]["cost_nanos"] == receipt["cost_nanos"]


@pytest.mark.parametrize("name", [*SERVICES, "gateway", "edge"])
def test_kill_9_under_load_is_survived(own_stack: Stack, name: str) -> None:
    with Load(own_stack) as load:
        load.wait_for_answers()
        before = own_stack.pid(name)
        os.kill(before, signal.SIGKILL)
        load.wait_for_answers()
    assert recovered(own_stack), name
    assert own_stack.pid(name) != before
    assert load.outcomes
    untruthful = [o for o in load.outcomes if not truthful(o, edge_may_die=name in ("edge", "gateway"))]
    assert not untruthful, untruthful[:3]
    check_ledger(own_stack, load.outcomes)


@pytest.mark.parametrize("name", SERVICES)
def test_sigterm_under_load_loses_no_accepted_request(own_stack: Stack, name: str) -> None:
    """What was accepted before the signal is answered whole; what comes while nobody is there is told so."""
    with Load(own_stack) as load:
        load.wait_for_answers()
        before = own_stack.pid(name)
        stopped_at = time.monotonic()
        os.kill(before, signal.SIGTERM)
        load.wait_for_answers()
    assert recovered(own_stack), name
    accepted = [o for o in load.outcomes if was_accepted(o, stopped_at, load.admission_seconds(stopped_at))]
    assert accepted
    lost = [o for o in accepted if not (o.status == 200 and o.done)]
    assert not lost, lost[:3]
    assert all(truthful(o) for o in load.outcomes)
    check_ledger(own_stack, load.outcomes)


def test_after_it_all_what_is_spent_is_what_was_answered_and_nothing_is_held(own_stack: Stack) -> None:
    """Holds of requests that died with their router lapse with their lease; a team that was not there has none."""
    key = own_stack.key_of_team("after")
    with own_stack.client() as client:
        budget = {"team": "after", "amount_nanos": "1000000000"}
        made = client.post(f"/v1/{ORGANIZATION}/budgets", params={"budget_id": "after"}, json=budget)
        made.raise_for_status()
        cost = 0
        for number in range(10):
            question = ask(f"Say {number}, afterwards.", max_tokens=2)
            answer = client.post("/v1/chat/completions", json=question, headers=key)
            receipt = answer.raise_for_status().json()["penstock"]
            assert own_stack.usage_records(receipt["request_id"])
            cost += int(receipt["cost_nanos"])
        now = client.get(f"/v1/{ORGANIZATION}/budgets/after").json()
    assert int(now["spent_nanos"]) == cost > 0
    assert int(now["held_nanos"]) == 0
    until_now(
        lambda: all(each.phase == "running" for each in read_state(own_stack.run_dir).programs.values())
    )


def journaled(stack: Stack) -> dict[str, tuple[int, int]]:
    """Read what the engine produced for each operation, prompt and answers, from the files of its journal."""
    paths = sorted(stack.run_dir.glob("data/inference/journal/*.usage"))
    latest = {attempt.key: attempt for path in paths for attempt in read_segment(path)}
    produced: dict[str, tuple[int, int]] = {}
    for attempt in latest.values():
        prompt, completion = produced.get(attempt.operation_id, (0, 0))
        produced[attempt.operation_id] = (
            prompt + attempt.prompt_tokens,
            completion + attempt.completion_tokens,
        )
    return produced


def charged(stack: Stack, operation_id: str) -> tuple[int, int]:
    """Add up what the ledger charged for an operation, once it did."""
    records = [record["tokens"] for record in stack.usage_records(operation_id)]
    prompt = sum(int(tokens.get("input", 0)) + int(tokens.get("cache_read", 0)) for tokens in records)
    return prompt, sum(int(tokens.get("output", 0)) for tokens in records)


def test_after_it_all_every_token_that_the_engine_journaled_is_in_the_ledger_once(own_stack: Stack) -> None:
    """Also what was generated for callers who got an error, by processes that were killed, for routers that died."""
    produced = {operation: tokens for operation, tokens in journaled(own_stack).items() if any(tokens)}
    assert len(produced) > 100
    wrong = {
        operation: (tokens, found)
        for operation, tokens in produced.items()
        if (found := charged(own_stack, operation)) != tokens
    }
    assert not wrong, (len(wrong), len(produced), list(wrong.items())[:5])
