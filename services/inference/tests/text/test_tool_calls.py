"""Calls of tools in a model's text, however it is cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_inference.tool_calls import ToolCallParser

CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern \\"} {", "days": [1, {"a": 2}]}}\n</tool_call>'
OTHER = '<tool_call>{"arguments": {"x": 1}, "name": "late"}</tool_call>'
LIST = '<tool_call>[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"y": "}"}}]</tool_call>'


def parse(pieces: list[str]) -> tuple[str, list[tuple[str, str, str]]]:
    """Put together what comes of the pieces: content, and calls as id, name and arguments."""
    ids = itertools.count()
    parser = ToolCallParser(lambda: f"id-{next(ids)}")
    content, calls = "", []
    for parsed in [*map(parser.feed, pieces), parser.finish()]:
        content += parsed.content
        for call in parsed.calls:
            if call.name:
                assert call.index == len(calls)
                calls.append([call.id, call.name, ""])
            calls[call.index][2] += call.arguments
    return content, [tuple(call) for call in calls]


def test_a_call_is_no_content() -> None:
    content, ((id_, name, arguments),) = parse([CALL])
    assert (content, id_, name) == ("", "id-0", "weather")
    assert json.loads(arguments) == {"city": 'Bern "} {', "days": [1, {"a": 2}]}


def test_words_before_a_call_are_content_and_blanks_between_calls_are_not() -> None:
    content, calls = parse([f"Let me see. \n{CALL}\n{CALL}\n"])
    assert content == "Let me see."
    assert [name for _, name, _ in calls] == ["weather", "weather"]


def test_a_list_is_several_calls() -> None:
    assert parse([LIST]) == ("", [("id-0", "f", "{}"), ("id-1", "g", '{"y": "}"}')])


def test_members_may_come_in_another_order() -> None:
    assert parse([OTHER]) == ("", [("id-0", "late", '{"x": 1}')])


@pytest.mark.parametrize(
    "text",
    [
        "a < b and <tool> is none",
        "<tool_call>not JSON</tool_call>",
        "<tool_call>[1, 2]</tool_call>",
        '<tool_call>{"name": null, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "no\\escape", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "two\nlines", "arguments": {}}</tool_call>',
        pytest.param(f"<tool_call>{'[' * 5000}</tool_call>", id="nested too deep"),
        '<tool_call>{"name": "cut',
        "no call <tool_",
        " \n ",
    ],
)
def test_what_is_no_call_stays_as_it_was_written(text: str) -> None:
    assert parse([text]) == (text, [])


@pytest.mark.parametrize("cut_off", ["<tool_call>", '<tool_call>\n{"name":'])
def test_a_call_that_is_cut_off_before_its_name_is_no_content_behind_another(cut_off: str) -> None:
    content, calls = parse([f"{CALL}\n{cut_off}"])
    assert (content, len(calls)) == ("", 1)


@pytest.mark.parametrize(
    "call",
    [
        r'<tool_call>{"name": "\ud800", "arguments": {}}</tool_call>',
        r'<tool_call>{"arguments": "\udfff", "name": "\ud800"}</tool_call>',
    ],
)
def test_half_a_surrogate_pair_can_be_sent_on(call: str) -> None:
    _, ((_, name, arguments),) = parse([call])
    assert (name + arguments).encode()


def test_arguments_flow_before_they_are_whole() -> None:
    parser = ToolCallParser(lambda: "id")
    parser.feed('<tool_call>{"name": "write", "arguments": {"text": "Once upon')
    assert parser.feed(" a time").calls[0].arguments == " a time"


PARTS = st.sampled_from(
    [
        CALL,
        OTHER,
        LIST,
        "Hello ",
        " \n",
        "<",
        "<tool_call>",
        "</tool_call>",
        '{"name": "f", "arguments": {',
        '{"name": "\\x", "arguments": {',
        "}",
        ",",
    ]
)


@given(st.lists(PARTS, max_size=6).map("".join), st.data())
def test_the_cuts_do_not_matter(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    assert parse(pieces) == parse([text])
