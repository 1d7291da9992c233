"""Answers held to a form through the edge: as OpenAI has it, as vLLM has it, and as it had it before."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from stack_fixture import MODEL, Stack

pytestmark = pytest.mark.stack

ASK = {"model": MODEL, "temperature": 0, "max_tokens": 48}
MOOD = [{"role": "user", "content": "Is this review good or bad? I would come again any time."}]
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
GRAMMAR = 'start: "mood: " ("good" | "bad")'
GBNF = 'root ::= "mood: " mood\nmood ::= "good" | "bad"'
AS_JSON, AS_WORDS, AS_ONE_WORD = r'\{\s*"mood"\s*:\s*"(good|bad)"\s*\}', "mood: (good|bad)", "good|bad"


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ({"structured_outputs": {"json": SCHEMA}}, AS_JSON),
        ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, AS_JSON),
        ({"structured_outputs": {"json_object": True}}, r"\{.*"),  # cut off
        ({"structured_outputs": {"regex": AS_WORDS}}, AS_WORDS),
        ({"structured_outputs": {"choice": ["good", "bad"]}}, AS_ONE_WORD),
        ({"structured_outputs": {"grammar": GRAMMAR}}, AS_WORDS),
        ({"structured_outputs": {"grammar": GBNF}}, AS_WORDS),
        ({"response_format": {"type": "regex", "regex": AS_WORDS}}, AS_WORDS),
        ({"response_format": {"type": "grammar", "grammar": GBNF}}, AS_WORDS),
        ({"response_format": {"type": "choice", "choice": ["good", "bad"]}}, AS_ONE_WORD),
        ({"guided_json": SCHEMA}, AS_JSON),
        ({"guided_regex": AS_WORDS}, AS_WORDS),
        ({"guided_choice": ["good", "bad"]}, AS_ONE_WORD),
        ({"guided_grammar": GRAMMAR}, AS_WORDS),
    ],
)
def test_every_way_to_say_a_form_holds_the_answer_to_it(
    client: OpenAI, form: dict[str, Any], pattern: str
) -> None:
    completion = client.chat.completions.create(messages=MOOD, extra_body=form, **ASK)
    assert re.fullmatch(pattern, completion.choices[0].message.content, re.DOTALL)


def test_a_stream_keeps_to_its_form(client: OpenAI) -> None:
    form = {"structured_outputs": {"regex": r"[0-9]{3}-[0-9]{4}"}, "cache_control": {"no_cache": True}}
    chunks = client.chat.completions.create(messages=MOOD, stream=True, extra_body=form, **ASK)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert re.fullmatch("[0-9]{3}-[0-9]{4}", text)


def test_a_continued_text_keeps_to_its_form_after_its_echo(client: OpenAI) -> None:
    prompt = "The capital of France is"
    form = {"structured_outputs": {"choice": [" Rome", " Paris"]}}
    completion = client.completions.create(prompt=prompt, echo=True, extra_body=form, **ASK)
    assert completion.choices[0].text == f"{prompt} Paris"


def test_answers_of_different_forms_are_not_each_others_in_the_cache(client: OpenAI) -> None:
    said = {
        client.chat.completions.create(
            messages=MOOD, extra_body={"structured_outputs": {"choice": [one]}}, **ASK
        )
        .choices[0]
        .message.content
        for one in ("left", "right")
    }
    assert said == {"left", "right"}


def test_personal_data_to_choose_from_reaches_no_model_and_comes_back(client: OpenAI) -> None:
    address = "jane.doe@example.com"
    completion = client.chat.completions.create(
        messages=MOOD, extra_body={"structured_outputs": {"choice": [address]}}, **ASK
    )
    assert completion.choices[0].message.content == address
    assert completion.model_extra["penstock"]["redacted_types"] == ["EMAIL_ADDRESS"]
