import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.page_token import read_token, write_token
from servicekit.errors import InvalidArgument

POSITIONS = st.lists(st.integers(-(2**62), 2**62) | st.text(), max_size=4)


@given(POSITIONS, st.lists(st.text(), max_size=3))
def test_a_position_comes_back_to_the_question_that_it_was_written_for(
    position: list[int | str], question: list[str]
) -> None:
    token = write_token(position, question)
    assert read_token(token, question, [type(part) for part in position]) == position
    with pytest.raises(InvalidArgument):
        read_token(token, [*question, "more"], [type(part) for part in position])


@given(st.text(min_size=1))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        read_token(text, [], [int])


def test_a_token_with_a_number_that_no_store_keeps_is_refused() -> None:
    digest, position = json.loads(base64.urlsafe_b64decode(write_token([1], [])))
    forged = base64.urlsafe_b64encode(json.dumps([digest, position + 2**63]).encode()).decode()
    with pytest.raises(InvalidArgument):
        read_token(forged, [], [int])


def test_no_token_is_the_first_page() -> None:
    assert read_token("", [], [int]) is None
