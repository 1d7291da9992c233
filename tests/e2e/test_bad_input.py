"""Bad input through the edge: the right 4xx, the right reason, and nothing charged."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stack_fixture import MODEL, ORGANIZATION, Stack, ask

pytestmark = pytest.mark.stack

CHAT = "/v1/chat/completions"


@pytest.fixture
def uncharged(stack: Stack) -> Iterator[httpx.Client]:
    """Ask for a team of the test's own, whose ledger has one line at the end: that of a good request made last."""
    team = uuid.uuid4().hex
    with stack.client() as client:
        client.headers.update(stack.key_of_team(team))
        yield client
        last = client.post(CHAT, json=ask("hi", max_tokens=1)).raise_for_status().json()
    stack.usage_records(last["penstock"]["request_id"])
    with stack.client() as client:
        asked = {"group_by": ["USAGE_DIMENSION_TEAM"]}
        rows = client.get(f"/v1/{ORGANIZATION}/usage", params=asked).raise_for_status().json()["rows"]
    assert [int(row["operations"]) for row in rows if row["group"] == [team]] == [1]


@pytest.mark.parametrize(
    ("content", "reason", "param"),
    [
        (b"{", "MALFORMED_REQUEST", None),
        (b"", "MALFORMED_REQUEST", None),
        (b"[]", "MALFORMED_REQUEST", None),
        (b'{"model": "\xff\xfe"}', "MALFORMED_REQUEST", None),
        (b'{"model": 7, "messages": []}', "MALFORMED_REQUEST", "model"),
        (b'{"model": "m", "messages": "hi"}', "MALFORMED_REQUEST", "messages"),
        (b'{"model": "m", "messages": [{"role": "king", "content": "x"}]}', None, "messages[0].role"),
        (
            b'{"model": "m", "messages": [{"role": "user", "content": 5}]}',
            "MALFORMED_REQUEST",
            "messages[0].content",
        ),
        (f'{{"model": "{MODEL}", "messages": []}}'.encode(), "INVALID_ARGUMENT", "messages"),
        (f'{{"model": "{MODEL}"}}'.encode(), "INVALID_ARGUMENT", "messages"),
    ],
)
def test_a_body_that_is_not_a_request_is_refused(
    stack: Stack, content: bytes, reason: str | None, param: str | None
) -> None:
    with stack.client() as client:
        response = client.post(CHAT, content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    if reason:
        assert error["reason"] == reason
    if param:
        assert error["param"] == param


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"max_tokens": 0}, "max_completion_tokens"),
        ({"stop": [""]}, "stop[0]"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"structured_outputs": {"choice": []}}, "response_format.choice.choices"),
        ({"structured_outputs": {"regex": "(unclosed"}}, "response_format"),
        ({"structured_outputs": {"grammar": "root ::= nothing"}}, "response_format"),
        ({"structured_outputs": {"json": "{"}}, "response_format.json_schema.schema"),
        ({"structured_outputs": {"regex": "jane.doe@example.com"}}, "response_format.regex"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(
    uncharged: httpx.Client, more: dict[str, Any], param: str
) -> None:
    response = uncharged.post(CHAT, json=ask("hi", **more))
    assert response.status_code == 400, response.text
    assert response.json()["error"]["reason"] == "INVALID_ARGUMENT"
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "param"),
    [
        (CHAT, "regex"),
        (CHAT, "guided_decoding_backend"),
        (CHAT, "chat_template_kwargs"),
        ("/v1/completions", "stop_token_ids"),
        ("/v1/embeddings", "truncate_prompt_tokens"),
    ],
)
def test_what_is_not_known_is_refused_as_openai_does_and_never_ignored(
    stack: Stack, path: str, param: str
) -> None:
    with stack.client() as client:
        response = client.post(path, json={"model": MODEL, param: {"x": 1}})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["message"] == f"Unrecognized request argument supplied: {param}"
    assert (error["reason"], error["param"]) == ("UNSUPPORTED_FEATURE", param)


def test_a_member_of_a_typed_resource_that_is_not_known_is_refused_too(stack: Stack) -> None:
    with stack.client() as client:
        response = client.post(f"/v1/{ORGANIZATION}/budgets", json={"amount_nano": "1"})
    assert response.status_code == 400
    assert "amount_nano" in response.json()["error"]["message"]


def test_an_unknown_model_is_not_found(stack: Stack) -> None:
    with stack.client() as client:
        response = client.post(CHAT, json=ask("hi") | {"model": "gpt-17"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer sk-foreign", "Basic eA==", "Bearer psk_" + "z" * 43]
)
def test_who_has_no_good_key_is_told_so(stack: Stack, header: str | None) -> None:
    with stack.client() as client:
        client.headers.pop("authorization")
        response = client.post(CHAT, json=ask("hi"), headers={"authorization": header} if header else {})
    assert response.status_code == 401
    assert response.json()["error"]["reason"] in ("API_KEY_MISSING", "API_KEY_INVALID")


def test_a_prompt_that_overflows_the_context_is_refused_with_the_numbers(uncharged: httpx.Client) -> None:
    response = uncharged.post(CHAT, json=ask("word " * 9000))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "9" in error["message"]


def test_a_text_of_three_megabytes_is_read_to_its_end_and_counted(uncharged: httpx.Client) -> None:
    response = uncharged.post(CHAT, json=ask("What is said at length is said all the same. " * 70_000))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_three_megabytes_are_taken_and_forty_are_not(stack: Stack) -> None:
    with stack.client() as client:
        large = ask("hi", prediction={"type": "content", "content": "x" * (3 << 20)}, max_tokens=4)
        assert client.post(CHAT, json=large).status_code == 200
        too_large = client.post(CHAT, content=b'{"x": "' + b"x" * (40 << 20) + b'"}')
    assert too_large.status_code == 413
    assert too_large.json()["error"]["reason"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [("GET", "/v1/nothing", 404, "METHOD_NOT_FOUND"), ("DELETE", CHAT, 405, "METHOD_NOT_ALLOWED")],
)
def test_what_is_not_there_is_said_in_openais_shape(
    stack: Stack, method: str, path: str, status: int, reason: str
) -> None:
    with stack.client() as client:
        response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["reason"] == reason


def test_another_organization_is_none_of_ones_business(stack: Stack) -> None:
    with stack.client() as client:
        response = client.get("/v1/organizations/other/usage")
    assert response.status_code == 403
    assert response.json()["error"]["reason"] == "PERMISSION_DENIED"


def test_the_api_describes_itself(stack: Stack) -> None:
    with stack.client() as client:
        described = client.get("/openapi.json").json()
        page = client.get("/docs", follow_redirects=True)
    assert described["openapi"].startswith("3.")
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"} <= set(
        described["paths"]
    )
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert "https://" not in page.text
