"""Stop texts, wherever token borders fall."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.stop import StopMatcher

TEXTS = st.text(alphabet="abcé", max_size=40)
STOPS = st.lists(st.text(alphabet="abcé", min_size=1, max_size=5), max_size=4).map(tuple)


def feed_all(pieces: list[str], stops: tuple[str, ...]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    text = ""
    for piece in pieces:
        released = matcher.feed(piece)
        text += released.text
        if released.stopped:
            return text, True
    return text + matcher.flush(), False


def slow_match(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Look after each character whether a stop text is complete; the longest counts."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(borders)]


@settings(max_examples=500, deadline=None)
@given(TEXTS, STOPS, st.lists(st.integers(0, 40), max_size=12))
def test_the_result_does_not_depend_on_where_the_text_is_cut(text: str, stops: tuple[str, ...], cuts) -> None:
    assert feed_all(pieces_of(text, cuts), stops) == slow_match(text, stops)


@settings(max_examples=300, deadline=None)
@given(TEXTS, STOPS)
def test_nothing_leaves_that_may_still_be_part_of_a_stop_text(text: str, stops: tuple[str, ...]) -> None:
    matcher = StopMatcher(stops)
    released = ""
    for place, character in enumerate(text):
        before = text[: place + 1]
        result = matcher.feed(character)
        released += result.text
        if result.stopped:
            return
        held = before[len(released) :]
        assert before == released + held
        # What is held back is the longest end that begins a stop text, no more and no less.
        ends = [
            before[start:] for start in range(len(before)) if any(s.startswith(before[start:]) for s in stops)
        ]
        assert held == (ends[0] if ends else "")


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "stopped"),
    [
        (["Hello wor", "ld"], (), "Hello world", False),
        (["one\n", "\ntwo"], ("\n\n",), "one", True),
        (["a", "b", "c"], ("abcd",), "abc", False),
        (["abc"], ("bc", "abcd"), "a", True),
        (["xENDyEND"], ("END",), "x", True),
        (["STOP right away"], ("STOP",), "", True),
    ],
)
def test_examples(pieces: list[str], stops: tuple[str, ...], text: str, stopped: bool) -> None:
    assert feed_all(pieces, stops) == (text, stopped)
