"""The view that detectors see, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_guardrail.canonical import LETTER, OTHER, view_of
from penstock_guardrail.cutter import Cutter

CARD = "4111111111111111"


@pytest.mark.parametrize(
    "disguised",
    [
        "\u200b".join(CARD),
        "\u2060".join(CARD),
        "4111\u202e1111\u202c1111\u200f1111",
        "4111\U000e0041\U000e00201111\u00ad1111\ufe0f1111",
        "４１１１１１１１１１１１１１１１",
        "𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏",
        "4111–1111—1111‑1111",
        "4111\u00a01111\u20031111\u202f1111",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "4\ufe0f\u20e3" + "1\ufe0f\u20e3" * 14 + "1",
        "4①①①111111111111",
    ],
)
def test_smuggled_unicode_is_seen(rules, disguised):
    text = f"héllo {disguised}, 日本"
    (found,) = [piece for piece in Cutter(rules.incoming).finish(text) if piece.found]
    assert found.found.type == "CREDIT_CARD"
    assert (found.start, found.text) == (6, disguised)
    assert text[found.start : found.end] == disguised


def test_full_width_addresses_are_seen(rules):
    text = "ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ"
    assert [piece.text for piece in Cutter(rules.incoming).finish(text) if piece.found] == [text]


def test_a_view_has_one_byte_a_character():
    view = view_of("aé日\u200b–b")
    assert view.characters.decode("latin-1") == f"a{LETTER}{OTHER}-b"
    assert list(view.offsets) == [0, 1, 2, 4, 5]


@given(st.text(), st.text())
def test_views_of_parts_make_the_view_of_the_whole(first, second):
    whole = view_of(first + second)
    parts = view_of(first).followed_by(view_of(second, len(first)))
    assert parts.characters == whole.characters
    assert list(parts.offsets) == list(whole.offsets)


@given(st.text())
def test_every_character_of_a_view_leads_back_to_one_of_the_text(text):
    view = view_of(text)
    assert len(view.characters) == len(view.offsets)
    assert list(view.offsets) == sorted(set(view.offsets))
    assert all(
        view_of(text[at]).characters == bytes([b])
        for at, b in zip(view.offsets, view.characters, strict=True)
    )
