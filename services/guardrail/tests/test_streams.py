"""P5: the same output streamed and unstreamed, however it is split, and nothing leaves that may be part of a match."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_guardrail.answer import Answer, AnswerStream, Released, screen_answer
from penstock_guardrail.cutter import Cutter, is_clear
from penstock_guardrail.policy import Action
from penstock_guardrail.rules import Rules
from penstock_guardrail.scanner import Scanner
from servicekit.errors import InvalidArgument

TOKEN = "[EMAIL_ADDRESS_1:k7q2]"
VALUES = {TOKEN: "ann@example.com", "[CREDIT_CARD_1:abcd]": "4111 1111 1111 1111"}
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n"
    "AQC7\n-----END RSA PRIVATE KEY-----"
)

WHOLE = [
    "ann@example.com",
    "Ann.O'Neil@mail.example.co.uk",
    "josé@münchen.de",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "378282246310005",
    "４１１１ １１１１ １１１１ １１１１",
    "4\u200b111111111111111",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "536-90-4399",
    "203.0.113.7",
    "2001:db8:0:0:0:0:2:1",
    "AKIAQWERTYUIOPASDFGH",
    "xoxb-1234567890-abcdefABCDEF",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123",
    "password = 'hunter2x!'",
    '"api_key": "0f9e8d7c6b5a4f3e2d1c"',
    "postgresql://app:s3cr3t@db.example.com/x",
    "Authorization: Bearer 38bb7b318cc6898c80317decb3",
    TOKEN,
    "[CREDIT_CARD_1:abcd]",
    "[EMAIL_ADDRESS_1:zzzz]",
    "[EMAIL\u200b_ADDRESS_1:k7q2]",
]
BROKEN = [
    *("ann@", "@example.com", "ann@example.", "4111 1111", "4111", "DE89 3704", "536-90", "203.0.", "AKIA"),
    *("xoxb-", "eyJ", "eyJhbGciOiJIUzI1NiJ9.", "password", "password:", "is ", "token ", "api_key=", "://"),
    *("://a:b", "Bearer ", "[EMAIL_ADDRESS_1:k7q", "[EMAIL_ADDRESS_1", "[", "[[", "]", TOKEN[:-1]),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", " ", ".", ",", "-", "\n", "@", ":", "=", "'", '"'),
    *("1", "12", "x", "_", "é", "日本", "\u200b", "\u202e", "😀", "\U000e0041", "x" * 70, "9" * 25),
    *("hello ", "the quick brown fox ", "a-b.c ", "3.14159 ", "Berlin, "),
]
NAMED = [
    *("Jane Doe", "Dr. Maria Keller", "12 Main Street, Springfield 12345", "Acme Ltd", "in Lisbon, Portugal"),
    *(
        "https://x.example/?token=hunter2secret99&a=1",
        "+49 30 901820",
        "(212) 555-0143 x22",
        "tel 22 498317 office",
    ),
    *(
        "born 12 March 1984",
        "2026-03-12",
        "MRN: 00482913",
        "SWIFT DEUTDEFF500",
        "00:1A:2B:3C:4D:5E",
        "RSSMRA85T10A562S",
    ),
    *(
        "metformin 500 mg",
        "ann\\u0040example.com",
        '{"to": "bob@x.org\\nJane"}',
        "\\",
        "\\n",
        "\\u00",
        "The",
        "Is",
    ),
]
PARTS = [*WHOLE, *BROKEN, *NAMED]
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), min_size=1, max_size=12).map("".join)
WITH_REFUSALS = st.lists(st.sampled_from([*WHOLE, *BROKEN, PEM]), min_size=1, max_size=8).map("".join)


def _whole(rules: Rules, text: str) -> Released:
    return Answer(rules, VALUES).finish(text)


def _streamed(rules: Rules, pieces: list[str]) -> Released:
    answer = Answer(rules, VALUES)
    released = [answer.push(piece) for piece in pieces]
    released.append(answer.finish())
    return Released(
        "".join(each.text for each in released),
        max(each.action for each in released),
        [finding for each in released for finding in each.findings],
    )


def _assert_same(rules: Rules, text: str, pieces: list[str]) -> None:
    whole, streamed = _whole(rules, text), _streamed(rules, pieces)
    assert streamed.text == whole.text
    assert streamed.action == whole.action
    assert streamed.findings == whole.findings


def _pieces(text: str, cuts: list[int]) -> list[str]:
    ends = sorted(min(cut, len(text)) for cut in cuts)
    return [text[first:last] for first, last in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize("value", [*WHOLE, *NAMED, PEM])
def test_split_value_is_masked(rules, value):
    """Every split in two, of every kind of value, at both ends of a text, in its middle, and beside itself."""
    for text in (value, f"to {value}, ok", f"{value} {value}", f"a{value}", f"{value}."):
        for cut in range(len(text) + 1):
            _assert_same(rules, text, [text[:cut], text[cut:]])
        _assert_same(rules, text, list(text))


def test_every_two_way_split_and_random_ones_of_a_thousand_texts(rules):
    chooser = random.Random(6)
    for _ in range(1000):
        text = "".join(chooser.choices(PARTS, k=3))
        first = chooser.randrange(max(1, len(text) - 32))
        text = text[first : first + 32]
        whole = _whole(rules, text)
        cuts = [sorted(chooser.choices(range(len(text) + 1), k=4)) for _ in range(3)]
        for pieces in (
            *([text[:cut], text[cut:]] for cut in range(len(text) + 1)),
            *(_pieces(text, cut) for cut in cuts),
        ):
            assert _streamed(rules, pieces).findings == whole.findings, (text, pieces)
            assert _streamed(rules, pieces).text == whole.text, (text, pieces)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_split_of_any_text_gives_the_output_of_the_whole(rules, text, cuts):
    _assert_same(rules, text, _pieces(text, cuts))
    _assert_same(rules, text, list(text))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=WITH_REFUSALS, cuts=st.lists(st.integers(0, 300), max_size=12))
def test_a_refused_answer_ends_at_the_same_place_for_every_split(rules, text, cuts):
    _assert_same(rules, text, _pieces(text, cuts))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_no_character_leaves_while_it_may_be_part_of_a_match(rules, text):
    """What has left after each character ends before the first finding that is not whole yet."""
    found = [piece for piece in Cutter(rules.outgoing).finish(text) if piece.found is not None]
    cutter = Cutter(rules.outgoing)
    left = 0
    for read, character in enumerate(text, 1):
        for piece in cutter.push(character):
            left = piece.end
        assert left + cutter.held_characters == read
        unfinished = [piece.start for piece in found if piece.end > read]
        assert left <= min(unfinished, default=read)


@pytest.fixture(scope="module")
def without_names(rules):
    """What the default policy screens with: names are let pass, so they are not looked for."""
    return Scanner(rules.detectors, names=None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_nothing_is_found_in_a_text_that_one_pass_told_to_be_clear(without_names, text):
    found = [piece for piece in Cutter(without_names).finish(text) if piece.found is not None]
    assert not (found and is_clear(without_names, text))


def test_prose_in_any_script_is_told_to_be_clear_by_one_pass(without_names):
    assert is_clear(without_names, "the quick brown fox, \u65e5\u672c\u8a9e \u200b caf\u00e9")
    assert is_clear(without_names, "if x == 1: y = 2")
    assert not is_clear(without_names, "to ann\uff20example.com")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(PARTS), min_size=60, max_size=120), size=st.integers(1, 64))
def test_long_texts_in_pieces_of_any_size(rules, parts, size):
    text = " ".join(parts)
    _assert_same(rules, text, [text[at : at + size] for at in range(0, len(text), size)])


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 20_000 + "\n-----END PRIVATE KEY----- then",
        "-----BEGIN PRIVATE KEY-----\n" + "Ab3+" * 3000 + "\n-----END PRIVATE KEY----- ann@example.com",
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{'a' * 18_000}.sig and ann@example.com",
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{'a' * 9_000}.sig ann@example.com",
        f"{'x' * 20_000}@example.com",
        f"{'x' * 1000}@example.com",
        "password: " + "aB3$" * 1000,
        "4111" + "\u200b" * 30_000 + "1111 1111 1111 ann@example.com",
        "eyJ-" * 5000 + " ann@example.com",
        "ann@example.com " * 4200,
    ],
)
@pytest.mark.parametrize("size", [997, 4096, 18_000])
def test_matches_at_the_limits_of_length_and_number(rules, text, size):
    _assert_same(rules, text, [text[at : at + size] for at in range(0, len(text), size)])


def test_what_is_held_back_is_bounded(rules):
    answer = Answer(rules, VALUES)
    answer.push("-----BEGIN PRIVATE KEY-----\n")
    held = [answer.push("A" * 1000).held_characters for _ in range(40)]
    assert max(held) <= 16_384


def test_prose_is_held_back_a_word_at_most(rules):
    """The word it is in; after a number or a big letter, which may begin a name, the next one too."""
    answer = Answer(rules, VALUES)
    text = "Whoever reads this, slowly or not, gets every word once the next one begins; in 2026 too. "
    held = [answer.push(character).held_characters for character in text]
    assert max(held) <= len("Whoever reads")
    assert sum(held) / len(held) < 5


def test_tokens_are_restored_and_what_is_new_is_replaced_for_good(rules):
    released = _streamed(rules, list(f"{TOKEN}, bob@example.org and ann@example.com"))
    assert released.text == "ann@example.com, [EMAIL_ADDRESS] and [EMAIL_ADDRESS]"
    assert released.action == Action.REDACT


def test_invented_token_never_unmasks(rules):
    for token in (
        "[EMAIL_ADDRESS_1:k7q3]",
        "[EMAIL_ADDRESS_2:k7q2]",
        "[EMAIL_ADDRESS_1]",
        "[email_address_1:k7q2]",
    ):
        assert _whole(rules, token).text == token
        assert _streamed(rules, list(token)).text == token


def test_after_a_refusal_nothing_more_leaves(rules):
    answer = Answer(rules, VALUES)
    released = [answer.push(piece) for piece in ("Here: ", PEM, " and more", " and more")]
    assert [each.action for each in released] == [Action.ALLOW, Action.REFUSE, Action.REFUSE, Action.REFUSE]
    assert [each.text for each in released] == ["Here: ", "", "", ""]
    assert answer.finish().action == Action.REFUSE


def test_a_whole_answer_is_cut_where_its_stream_would_end(rules):
    text = f"Dear bob@example.org, {PEM}, bye"
    verdict = screen_answer(rules, [text], VALUES)
    assert verdict.action == Action.REFUSE
    assert verdict.texts == {0: "Dear [EMAIL_ADDRESS], "}
    assert _streamed(rules, list(text)).text == verdict.texts[0]


def test_an_answer_without_end_is_refused(rules):
    stream = AnswerStream(rules, {})
    released = [stream.push(0, " " * 500_000) for _ in range(3)]
    assert [each.action for each in released] == [Action.ALLOW, Action.ALLOW, Action.REFUSE]


def test_answers_of_one_stream_do_not_touch_each_other(rules):
    stream = AnswerStream(rules, VALUES)
    text = f"{TOKEN} bob@example.org "
    left = dict.fromkeys(range(3), "")
    for character in text:
        for choice in left:
            left[choice] += stream.push(choice, character).text
    for choice in left:
        left[choice] += stream.finish(choice).text
    assert set(left.values()) == {"ann@example.com [EMAIL_ADDRESS] "}
    with pytest.raises(InvalidArgument):
        stream.push(1, "more")
