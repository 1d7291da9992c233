"""The view that detectors see, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_guardrail.canonical import LETTER, OTHER, view_of, whole_escapes
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
    view = view_of("aéж日\u200b–b")
    assert view.characters.decode("latin-1") == f"ae{LETTER}{OTHER}-b"
    assert list(view.starts) == [0, 1, 2, 3, 5, 6]


def test_a_nul_is_a_character_like_others():
    assert view_of("a\x00b").characters == view_of("a\x00bé").characters[:3] == b"a\x00b"


@given(st.text(), st.text())
def test_views_of_parts_make_the_view_of_the_whole(first, second):
    second = first[whole_escapes(first) :] + second
    first = first[: whole_escapes(first)]
    whole = view_of(first + second)
    parts = view_of(first).followed_by(view_of(second, len(first)))
    assert parts.characters == whole.characters
    assert list(parts.starts) == list(whole.starts)
    assert list(parts.ends) == list(whole.ends)


@given(st.text(st.characters() | st.sampled_from('\\nu0041"')))
def test_every_character_of_a_view_leads_back_to_one_of_the_text(text):
    view = view_of(text)
    assert len(view.characters) == len(view.starts) == len(view.ends)
    assert list(view.starts) == sorted(set(view.starts))
    assert all(
        view_of(text[start:end]).characters == bytes([b])
        for start, end, b in zip(view.starts, view.ends, view.characters, strict=True)
    )


def test_letters_that_look_like_latin_ones_are_those(rules):
    text = "use \u0410KI\u0410QWERTYUIOP\u0410SDFGH now"
    (found,) = [piece for piece in Cutter(rules.incoming).finish(text) if piece.found]
    assert (found.found.type, found.text) == ("SECRET", text[4:24])


@pytest.mark.parametrize("escaped", [r"ann\u0040example.co\u006d", r"ann\\u0040example.com"])
def test_escapes_of_json_strings_hide_nothing_and_stay_whole(rules, escaped):
    text = '{"to": "x\\n' + escaped + '\\n"}'
    (found,) = [piece for piece in Cutter(rules.incoming).finish(text) if piece.found]
    assert found.text == escaped
