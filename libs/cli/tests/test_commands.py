"""The commands that make requests, against an edge that answers as told."""

import json

import pytest
from penstock_cli.app import main
from testkit.process import free_port

CHAT = ("POST", "/v1/chat/completions")
MODELS = {
    "data": [
        {"id": "minilm", "capabilities": ["MODEL_CAPABILITY_EMBEDDINGS"], "endpoints": ["inference"]},
        {
            "id": "smollm2",
            "owned_by": "huggingface",
            "context_tokens": 8192,
            "capabilities": ["MODEL_CAPABILITY_CHAT", "MODEL_CAPABILITY_LOGPROBS"],
            "endpoints": ["inference"],
            "engine": "onnxruntime-cpu",
            "weights_kind": "int8",
        },
    ]
}
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
RECEIPT = {
    "request_id": "r-1",
    "trace_id": "ab" * 16,
    "cost_nanos": "12500",
    "avoided_cost_nanos": "0",
    "cache": "CACHE_STATUS_MISS",
}


@pytest.fixture(autouse=True)
def _models(edge):
    edge.answers["GET", "/v1/models"] = (200, MODELS)


@pytest.fixture
def penstock(capsys):
    """Run a command; give its exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def chunk(text="", **members):
    choices = [{"index": 0, "delta": {"content": text}}] if text else []
    return {"object": "chat.completion.chunk", "choices": choices, **members}


def failure(reason, message="It is so.", **members):
    return {"error": {"message": message, "reason": reason, "param": None, **members}}


def test_an_answer_is_streamed_to_standard_output_and_its_cost_to_standard_error(edge, penstock):
    last = chunk(usage=USAGE, penstock=RECEIPT)
    edge.answers[CHAT] = [chunk("Paris is "), chunk("the capital."), last, "[DONE]"]
    code, out, err = penstock("chat", "Capital of France?", "--system", "Be brief.", "--max-tokens", "9")
    assert (code, out) == (0, "Paris is the capital.\n")
    assert "11 + 4 tokens" in err
    assert "cost $0.0000125 · cache: miss" in err
    assert f"request r-1 · trace {'ab' * 16}" in err
    method, path, authorization, body = edge.requests[-1]
    assert (method, path, authorization) == (*CHAT, "Bearer psk_test")
    assert body == {
        "model": "smollm2",
        "temperature": 0,
        "max_completion_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Capital of France?"},
        ],
    }


def test_an_answer_comes_whole_when_wanted(edge, penstock):
    message = {"role": "assistant", "content": "[bold]Paris[/bold] :smile:"}
    receipt = RECEIPT | {"cache": "CACHE_STATUS_EXACT_HIT", "cost_nanos": "0", "avoided_cost_nanos": "12500"}
    edge.answers[CHAT] = (200, {"choices": [{"message": message}], "usage": USAGE, "penstock": receipt})
    code, out, err = penstock("chat", "hi", "--no-stream", "--no-cache", "--model", "m", "--seed", "7")
    assert (code, out) == (0, "[bold]Paris[/bold] :smile:\n")
    assert "saved $0.0000125 · cache: exact hit" in err
    body = edge.requests[-1][3]
    assert body["cache_control"] == {"no_cache": True, "no_store": True}
    assert (body["model"], body["seed"]) == ("m", 7)


def test_an_error_is_one_line_with_a_hint_and_the_request_id(edge, penstock):
    edge.answers[CHAT] = (404, failure("MODEL_NOT_FOUND", "No model gpt-17.", request_id="req-9"))
    code, out, err = penstock("chat", "hi", "--model", "gpt-17")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "✗ MODEL_NOT_FOUND: No model gpt-17.",
        "`penstock models` lists what is served. Request id req-9.",
    ]


def test_a_field_at_fault_is_named(edge, penstock):
    edge.answers[CHAT] = (400, failure("INVALID_ARGUMENT", "Too high.", param="temperature"))
    _, _, err = penstock("chat", "hi")
    assert "✗ INVALID_ARGUMENT: Too high. (temperature)" in err


def test_an_error_within_a_stream_ends_it_after_what_came(edge, penstock):
    edge.answers[CHAT] = [chunk("Paris "), failure("STREAM_INTERRUPTED", "The answer broke off.")]
    code, out, err = penstock("chat", "hi")
    assert (code, out.strip()) == (1, "Paris")
    assert "STREAM_INTERRUPTED: The answer broke off." in err


@pytest.mark.parametrize("events", [[chunk("Paris ")], []])
def test_a_stream_that_ends_without_saying_so_is_an_error(edge, penstock, events):
    edge.answers[CHAT] = events
    code, _, err = penstock("chat", "hi")
    assert code == 1
    assert "the answer broke off" in err


def test_an_error_that_is_not_ours_is_shown_as_it_is(edge, penstock):
    edge.answers["GET", "/v1/models"] = (502, "Bad gateway, says a proxy")
    code, _, err = penstock("models")
    assert code == 1
    assert "HTTP 502: Bad gateway, says a proxy" in err


def test_without_a_stack_the_command_says_how_to_start_one(penstock, monkeypatch, tmp_path):
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_URL", f"http://127.0.0.1:{free_port()}")
    code, _, err = penstock("models")
    assert code == 3
    assert "Start the stack with `penstock up`" in err
    code, _, err = penstock("status")
    assert (code, "no stack runs here" in err) == (1, True)


def test_the_connection_is_found_in_the_run_directory(edge, penstock, monkeypatch, tmp_path):
    (tmp_path / "env").write_text(f"PENSTOCK_URL={edge.url}\nPENSTOCK_API_KEY=psk_file\n")
    monkeypatch.delenv("PENSTOCK_URL")
    monkeypatch.delenv("PENSTOCK_API_KEY")
    penstock("models")
    assert edge.requests[-1][2] == "Bearer psk_file"


def test_models_are_listed(edge, penstock):
    code, out, _ = penstock("models")
    assert code == 0
    assert "smollm2" in out
    assert "chat, logprobs" in out
    assert "onnxruntime-cpu int8" in out
    code, out, _ = penstock("models", "--json")
    assert json.loads(out) == MODELS["data"]


def test_texts_are_embedded_and_compared(edge, penstock):
    data = [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [0.6, 0.8]}]
    answer = {"data": data, "usage": {"prompt_tokens": 5}, "penstock": {"cost_nanos": "300"}}
    edge.answers["POST", "/v1/embeddings"] = (200, answer)
    code, out, err = penstock("embed", "a cat", "a dog")
    assert code == 0
    assert "0.600" in out
    assert "5 tokens · 2 dimensions · cost $0.0000003" in err
    assert edge.requests[-1][3] == {"model": "minilm", "input": ["a cat", "a dog"]}
    _, out, _ = penstock("embed", "a cat", "a dog", "--json")
    assert json.loads(out) == [[1.0, 0.0], [0.6, 0.8]]


def test_usage_is_summed_by_what_was_asked(edge, penstock):
    tokens = {"input": "1100", "cache_read": "0", "output": "90"}
    row = {"group": ["smollm2", ""], "operations": 3, "tokens": tokens, "cost_nanos": "1500000000"}
    edge.answers["GET", "/v1/organizations/dev/usage"] = (200, {"rows": [row]})
    code, out, _ = penstock("usage", "--by", "model", "--by", "team")
    assert code == 0
    assert "1,100" in out
    assert "$1.5" in out
    assert edge.requests[-1][3].startswith("group_by=USAGE_DIMENSION_MODEL&group_by=USAGE_DIMENSION_TEAM")


def test_a_key_is_made_listed_and_revoked(edge, penstock):
    key = {"name": "organizations/dev/apiKeys/k1", "display_name": "batch", "secret_prefix": "psk_ab"}
    edge.answers["POST", "/v1/organizations/dev/apiKeys"] = (200, {"api_key": key, "secret": "psk_abc"})
    edge.answers["GET", "/v1/organizations/dev/apiKeys"] = (200, {"api_keys": [key]})
    edge.answers["POST", "/v1/organizations/dev/apiKeys/k1:revoke"] = (200, key)
    created = penstock("keys", "create", "batch", "--role", "admin", "--tier", "gold")
    assert created[:2] == (0, "psk_abc\n")
    assert (edge.requests[-1][3]["api_key"]["roles"], edge.requests[-1][3]["api_key"]["tier"]) == (
        ["admin"],
        "gold",
    )
    assert "psk_ab…" in penstock("keys", "list")[1]
    assert penstock("keys", "revoke", "k1")[0] == 0
    assert edge.requests[-1][1] == "/v1/organizations/dev/apiKeys/k1:revoke"


def test_wrong_usage_exits_with_2(edge, penstock):
    assert penstock("chat", "hi", "--max-tokens", "0")[0] == 2
    assert penstock("nonsense")[0] == 2
