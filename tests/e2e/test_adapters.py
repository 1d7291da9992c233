"""A LoRA adapter as a model of the catalog, through the real edge: it answers, is charged and remembered as itself."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_fixture import ROOT, Stack, running_stack

pytest.importorskip("torch", reason="the engine that takes adapters needs PyTorch")
sys.path.insert(0, str(ROOT / "services/inference/tests"))

from small_decoder import write_adapter, write_decoder

pytestmark = pytest.mark.stack

NANOS_A_TOKEN = {"small": 1000, "formal": 3000}
QUESTION = {"messages": [{"role": "user", "content": "1 + 2 ="}], "temperature": 0, "max_tokens": 16}


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose catalog names a small decoder and an adapter of it, each with its price."""
    place = tmp_path_factory.mktemp("adapters")
    decoder = write_decoder(place / "decoder")
    (decoder / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    )
    base = {"id": "small", "reference": str(decoder), "engine": "torch", "kind": "fp32", "slots": 4}
    adapter = {"id": "formal", "base": "small", "reference": str(write_adapter(place / "formal", 1))}
    settings = {
        "PENSTOCK_INFERENCE_MODELS": json.dumps([{**base, "context_tokens": 128}]),
        "PENSTOCK_INFERENCE_ADAPTERS": json.dumps([adapter]),
        "PENSTOCK_INFERENCE_ENCODERS": "[]",
        "PENSTOCK_ROUTER_CATALOG": written(place / "catalog.yaml", catalog()),
        "PENSTOCK_BILLING_PRICE_BOOK": written(place / "prices.yaml", price_book()),
    }
    with running_stack(place / "run", **settings) as stack:
        yield stack


def written(path: Path, contents: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(contents))
    return str(path)


def catalog() -> dict[str, Any]:
    models = [
        {
            "id": name,
            "capabilities": ["chat"],
            "targets": [{"endpoint": "inference", "model": name, "sku": f"inference/{name}"}],
        }
        for name in NANOS_A_TOKEN
    ]
    return {"endpoints": [{"name": "inference", "kind": "inference", "private": True}], "models": models}


def price_book() -> dict[str, Any]:
    prices = [
        {
            "sku": f"inference/{name}",
            "valid_from": datetime(2025, 1, 1, tzinfo=UTC),
            "input": "0",
            "output": str(nanos // 1000),  # dollars for a million tokens
        }
        for name, nanos in NANOS_A_TOKEN.items()
    ]
    return {"prices": prices}


def test_an_adapter_is_charged_under_its_own_name_and_shares_no_answer_with_its_base(
    own_stack: Stack,
) -> None:
    texts = {}
    with own_stack.client() as client:
        for model, nanos in NANOS_A_TOKEN.items():
            first = client.post("/v1/chat/completions", json={"model": model, **QUESTION}).json()
            receipt = first["penstock"]
            assert receipt["cache"] == "CACHE_STATUS_MISS"
            (record,) = own_stack.usage_records(receipt["request_id"])
            assert (record["model"], record["sku"]) == (model, f"inference/{model}")
            assert int(record["cost_nanos"]) == nanos * first["usage"]["completion_tokens"] > 0
            again = client.post("/v1/chat/completions", json={"model": model, **QUESTION}).json()
            texts[model] = first["choices"][0]["message"]["content"]
            assert again["choices"] == first["choices"]
    assert texts["formal"] != texts["small"]


def test_the_engine_is_shown_where_models_are_listed(own_stack: Stack) -> None:
    with own_stack.client() as client:
        listed = client.get("/v1/models").raise_for_status().json()["data"]
    assert [(model["id"], model["engine"], model["weights_kind"]) for model in listed] == [
        ("formal", "torch-cpu", "fp32"),
        ("small", "torch-cpu", "fp32"),
    ]
