"""Answers held to a form: whatever the model would rather say."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.forms import Form, Notation, choice, grammar, json_object, json_schema, tool_calls
from penstock_inference.grammar import Grammars
from penstock_inference.sampler import Sampler, SamplingParameters, choose_tokens
from servicekit.errors import InvalidArgument

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def grammars(smollm2):
    grammars = Grammars(smollm2.tokenizer, smollm2.engine.limits.vocabulary_tokens, smollm2.config.eos_ids)
    yield grammars
    grammars.close()


def babble(
    smollm2, grammars: Grammars, form: Form, seed: int, tokens_max: int = 120, **parameters
) -> str | None:
    """Let chance write an answer, token by token; None if it did not end."""
    rng = np.random.default_rng(seed)
    mask = grammars.compile(form).begin()
    sampler = Sampler(SamplingParameters(**parameters), [1], tokens_max, (seed, 0), mask)
    tokens: list[int] = []
    for _ in range(tokens_max):
        logits = rng.standard_normal((1, smollm2.engine.limits.vocabulary_tokens)).astype(np.float32)
        logits[:, 17:282] += 6.0  # short tokens and the end come to an end sooner
        logits[:, smollm2.config.eos_ids[0]] += 9.0
        (token,) = choose_tokens(logits, [sampler])
        if token in smollm2.config.eos_ids:
            return smollm2.tokenizer.decode(tokens)
        tokens.append(token)
    return None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_ends_is_json_of_the_schema(smollm2, grammars, seed: int) -> None:
    text = babble(smollm2, grammars, json_schema(PERSON), seed)
    if text is not None:
        person = json.loads(text)
        assert set(person) == {"name", "age"}
        assert len(person["name"]) <= 8
        assert person["age"] <= 150


def test_chance_finds_an_end(smollm2, grammars) -> None:
    ended = [babble(smollm2, grammars, json_schema(PERSON), seed) for seed in range(10)]
    assert sum(text is not None for text in ended) >= 5


def test_a_regular_expression_is_matched_as_a_whole(smollm2, grammars) -> None:
    pattern = r"[a-c]{3}-\d{2}"
    for seed in range(5):
        text = babble(smollm2, grammars, Form(Notation.REGEX, pattern), seed)
        assert text is not None
        assert re.fullmatch(pattern, text)


def test_a_grammar_is_followed(smollm2, grammars) -> None:
    form = Form(Notation.LARK, 'start: ("yes" | "no") "!"')
    assert {babble(smollm2, grammars, form, seed) for seed in range(8)} == {"yes!", "no!"}


def test_a_grammar_as_llama_cpp_writes_them_is_followed(smollm2, grammars) -> None:
    form = grammar('root ::= answer "!"\nanswer ::= "yes" | "no"')
    assert {babble(smollm2, grammars, form, seed) for seed in range(8)} == {"yes!", "no!"}


def test_one_of_several_texts_is_chosen_and_comes_as_it_is_written(smollm2, grammars) -> None:
    texts = ['say "hi"', "Zürich 🏔", "two\nlines"]
    assert {babble(smollm2, grammars, choice(texts), seed) for seed in range(24)} == set(texts)


def test_a_grammar_of_too_many_readings_ends_in_an_error_before_it_holds_others_up(smollm2, grammars) -> None:
    form = Form(Notation.LARK, 'start: a\na: a b | b a | "y"\nb: a | "x" | b b')
    mask = grammars.compile(form).begin()
    (y,) = smollm2.tokenizer.encode("y", parse_special=False)
    for _ in range(2000):
        allowed = np.unpackbits(mask.allowed(), bitorder="little")
        if not allowed[y]:
            break
        mask.check()
        mask.advance(y)
    assert np.flatnonzero(allowed).tolist() == list(smollm2.config.eos_ids)
    with pytest.raises(InvalidArgument, match="more work to follow than is allowed"):
        mask.check()


def test_a_bias_cannot_break_the_form(smollm2, grammars) -> None:
    forbidden = smollm2.tokenizer.encode("hello", parse_special=False)[0]
    form = Form(Notation.LARK, 'start: ("yes" | "no")')
    assert babble(smollm2, grammars, form, 1, logit_bias={forbidden: 100.0}) in {"yes", "no"}


def test_a_call_names_a_tool_and_gives_its_arguments(smollm2, grammars) -> None:
    parameters = {
        "$defs": {"city": {"enum": ["Bern", "Rome"]}},
        "properties": {"city": {"$ref": "#/$defs/city"}},
    }
    parameters |= {"type": "object", "required": ["city"], "additionalProperties": False}
    functions = [{"name": "weather", "parameters": parameters}, {"name": "now", "parameters": {}}]
    form = tool_calls(functions, several=False)
    text = next(filter(None, (babble(smollm2, grammars, form, seed) for seed in range(20))))
    body = json.loads(text.strip().removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert body["name"] in {"weather", "now"}
    if body["name"] == "weather":
        assert body["arguments"]["city"] in {"Bern", "Rome"}


def test_there_is_room_to_indent_and_for_no_more_blanks(smollm2, grammars) -> None:
    def stays_within(text: str) -> bool:
        mask = grammars.compile(json_object()).begin()
        for byte in text:
            (token,) = smollm2.tokenizer.encode(byte, parse_special=False)
            if not mask.allowed()[token // 8] >> token % 8 & 1:
                return False
            mask.advance(token)
        return True

    assert stays_within('{\n    "a": [\n        "b", "c"\n    ]\n}')
    assert stays_within('{"a":["b","c"]}')
    assert not stays_within("{\n\n")
    assert not stays_within("{" + " " * 40)


@pytest.mark.parametrize(
    "form",
    [
        Form(Notation.REGEX, "[a-z"),
        Form(Notation.LARK, "start: nothing_of_that_name"),
        grammar("root ::= nothing"),
        grammar("root ::= [\\"),
        grammar("root ::= " + "(" * 10_000),
        json_schema({"type": "objekt"}),
        json_schema({"if": {"type": "string"}}),
        json_schema({"$ref": "https://example.com/schema"}),
    ],
    ids=str,
)
def test_a_form_that_cannot_be_enforced_is_refused(grammars, form: Form) -> None:
    with pytest.raises(InvalidArgument):
        grammars.compile(form)


def test_answers_of_one_form_do_not_disturb_each_other(grammars, smollm2) -> None:
    grammar = grammars.compile(Form(Notation.LARK, 'start: "ab"'))
    first, second = grammar.begin(), grammar.begin()
    before = second.allowed().copy()
    (token,) = smollm2.tokenizer.encode("a", parse_special=False)
    first.advance(token)
    assert (first.allowed() != before).any()
    assert (second.allowed() == before).all()
