"""Tokens: short, stable for one principal, and never anybody else's."""

from hypothesis import given
from hypothesis import strategies as st
from penstock_guardrail.cutter import Cutter
from penstock_guardrail.redaction import TOKEN_TYPE, mint, token_of, type_of

TYPES = st.sampled_from(["EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN"])
VALUES = st.lists(st.tuples(TYPES, st.text(min_size=1)), max_size=20)


@given(key=st.binary(min_size=32, max_size=32), values=VALUES)
def test_a_value_has_one_token_and_a_token_one_value(key, values):
    tokens = mint(key, values)
    assert tokens.keys() == set(values)
    assert len(set(tokens.values())) == len(tokens)
    assert mint(key, values) == tokens
    assert all(type_of(token) == found_type for (found_type, _), token in tokens.items())


def test_tokens_are_numbered_by_type_in_the_order_of_first_occurrence():
    values = [("A", "x"), ("B", "x"), ("A", "y"), ("A", "x")]
    assert [token.partition(":")[0] for token in mint(b"k", values).values()] == ["[A_1", "[B_1", "[A_2"]


def test_another_key_another_number_or_another_value_is_another_token():
    tokens = {
        mint(b"k", [("A", "x")])["A", "x"],
        mint(b"l", [("A", "x")])["A", "x"],
        mint(b"k", [("A", "y")])["A", "y"],
        mint(b"k", [("A", "y"), ("A", "x")])["A", "x"],
    }
    assert len(tokens) == 4


@given(key=st.binary(min_size=32, max_size=32), values=VALUES)
def test_every_token_is_found_again_in_a_text(rules, key, values):
    tokens = list(mint(key, values).values())
    pieces = Cutter(rules.outgoing).finish(", ".join(tokens))
    assert [piece.text for piece in pieces if piece.found and piece.found.type == TOKEN_TYPE] == tokens


def test_invisible_characters_in_a_token_do_not_hide_it():
    assert token_of("[A\u200b_1:\u2060aaaa]") == "[A_1:aaaa]"
