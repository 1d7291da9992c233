"""Identifiers of many kinds and countries, names, and what must be taken for neither."""

import pytest
from penstock_guardrail.cutter import Cutter
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import words
from penstock_guardrail.pattern import Pattern


@pytest.fixture
def find(rules):
    def found(text: str, *types: str) -> list[tuple[str, str]]:
        pieces = Cutter(rules.incoming).finish(text)
        believed = [piece for piece in pieces if piece.found and piece.found.confidence >= 0.5]
        return [
            (piece.found.type, piece.text) for piece in believed if not types or piece.found.type in types
        ]

    return found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("ring +49 30 901820 today", "+49 30 901820"),
        ("at +44 20 7946 0958, please", "+44 20 7946 0958"),
        ("fax (212) 555-0143 x22", "(212) 555-0143 x22"),
        ("Tel.: 030 901820", "030 901820"),
        ("mein Handy: 0171 2345678", "0171 2345678"),
        ("téléphone 01 70 18 99 00", "01 70 18 99 00"),
        ("22 498317 office", "22 498317"),
        ("they are at 02 9374 4000 now", "02 9374 4000"),
        ("?tel=0612345678&id=4711998877", "0612345678"),
        ("phone_number=030901820", "030901820"),
        ("my number is 503 862 015", "503 862 015"),
        ("numero 347 3753683", "347 3753683"),
    ],
)
def test_phone_any_region(find, text, number):
    assert find(text, "PHONE_NUMBER") == [("PHONE_NUMBER", number)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "call it on 2026-01-02",
            "version 10.0.19045.3803",
            "order 2813882583",
            "in 1998 - 2004",
            "3.14159265",
        ),
        *("account 12 34 56 78", "x5551234567", "$ 120 000 000", "the years 2024 2025 2026"),
    ],
)
def test_what_only_looks_like_a_phone_number_is_none(find, text):
    assert find(text, "PHONE_NUMBER") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("codice RSSMRA85T10A562S", ("NATIONAL_ID", "RSSMRA85T10A562S")),
        ("DNI 12345678Z", ("NATIONAL_ID", "12345678Z")),
        ("CPF 529.982.247-25", ("NATIONAL_ID", "529.982.247-25")),
        ("hetu 131052-308T", ("NATIONAL_ID", "131052-308T")),
        ("NHS number 943 476 5919", ("NATIONAL_ID", "943 476 5919")),
        ("BSN: 111222333", ("NATIONAL_ID", "111222333")),
        ("PESEL 44051401458", ("NATIONAL_ID", "44051401458")),
        ("My driver's license number is A56319335", ("US_DRIVER_LICENSE", "A56319335")),
        ("passport no. C01X00T47", ("PASSPORT", "C01X00T47")),
        ("MRN: 00482913", ("MEDICAL_RECORD_NUMBER", "00482913")),
        ("SWIFT code DEUTDEFF500", ("BIC", "DEUTDEFF500")),
        ("diagnosis E11.9", ("MEDICAL_CODE", "E11.9")),
        ("take metformin 500 mg daily", ("MEDICATION", "metformin 500 mg")),
        ("born on 12 March 1984", ("DATE_OF_BIRTH", "12 March 1984")),
        ("geboren am 12.03.1984", ("DATE_OF_BIRTH", "12.03.1984")),
        ("due 2026-03-12", ("DATE_TIME", "2026-03-12")),
        ("mac 00:1A:2B:3C:4D:5E", ("MAC_ADDRESS", "00:1A:2B:3C:4D:5E")),
        ("pay 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ("CRYPTO_ADDRESS", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")),
        (
            "to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ("CRYPTO_ADDRESS", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ),
        ("see https://example.com/a?b=1.", ("URL", "https://example.com/a?b=1")),
        ("arn:aws:iam::123456789012:user/bob", ("CLOUD_RESOURCE", "arn:aws:iam::123456789012:user/bob")),
    ],
)
def test_identifiers_are_found_by_form_checksum_and_context(find, text, found):
    assert find(text, found[0]) == [found]


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("RSSMRA85T10A562T and 12345678A", "NATIONAL_ID"),
        ("order 111222333", "NATIONAL_ID"),
        ("in room E11.9", "MEDICAL_CODE"),
        ("00:00:00:00:00:00 ff:ff:ff:ff:ff:ff", "MAC_ADDRESS"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "CRYPTO_ADDRESS"),
        ("13/45/2020 and 1/2/3", "DATE_TIME"),
        ("README.md and main.py, e.g. this", "URL"),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", "CLOUD_RESOURCE"),
    ],
)
def test_what_fails_its_check_or_lacks_its_context_is_none(find, text, type):  # noqa: A002 - the word for it
    assert find(text, type) == []


def test_a_secret_in_a_web_address_is_seen(find):
    token = "xoxp-113726990690-113803571044-155105854433-53ffb9d16ace"
    text = f"https://slack.example/api?token={token}&count=1"
    assert find(text) == [("URL", text.partition(token)[0]), ("SECRET", token), ("URL", "&count=1")]


def test_names_are_found_where_context_allows(find):
    assert find("My friend Jane Doe lives in Lisbon and works for Acme Ltd as a nurse.") == [
        ("PERSON", "Jane Doe"),
        ("LOCATION", "Lisbon"),
        ("ORGANIZATION", "Acme Ltd"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Please summarize the following text in three sentences and list the open questions.",
        "How do I sort a list of numbers in ascending order?",
        "why was my card declined when I tried to pay at the shop",
    ],
)
def test_ordinary_questions_hold_no_names(find, text):
    assert find(text) == []


@pytest.mark.parametrize("expression", ["(a)", "a{2,1}", "(?:a", "a)", "^a$", r"\1", "a{2000}", r"\p{L}"])
def test_expressions_that_grammars_cannot_write_are_refused(expression):
    with pytest.raises(ValueError, match=r"."):
        grammar_of(expression)


def test_expressions_become_grammars_with_the_same_words():
    pattern = Pattern(words(grammar_of(r"\b(?:ab|[0-9]{2,3})-x?\.+", ignore_case=True)))
    assert pattern.match(b"AB-X..") == (0, 6)
    assert pattern.match(b"123-.") == (0, 5)
    assert pattern.match(b"1-x.") is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ip:10.20.30.40", "10.20.30.40"),
        ("host:2001:db8::7", "2001:db8::7"),
        ("::ffff:158.2.51.227 at noon", "158.2.51.227"),
        ("from 2001:db8::7 at noon", "2001:db8::7"),
    ],
)
def test_addresses_behind_a_colon_are_seen(find, text, address):
    assert ("IP_ADDRESS", address) in find(text, "IP_ADDRESS")


@pytest.mark.parametrize("text", ["std::2", "1:2:3", "a:b:10:20", "at 10:20:30", "v:1.2.3.4.5", "12:1.2.3.4"])
def test_what_colons_part_is_no_address(find, text):
    assert not find(text, "IP_ADDRESS")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SSN 383.30.4397", "383.30.4397"),
        ("my social is 834 64 8521", "834 64 8521"),
        ("at 383.30.4397", None),
    ],
)
def test_social_security_numbers_with_dots_need_a_word(find, text, number):
    assert find(text, "US_SSN") == ([("US_SSN", number)] if number else [])


def test_a_card_of_an_unknown_issuer_needs_a_word_in_any_of_several_languages(find):
    for text in ("cc=9792956768368272", "tarjeta: 9792956768368272", "Karte 9792956768368272"):
        assert find(text, "CREDIT_CARD") == [("CREDIT_CARD", "9792956768368272")]
    assert not find("id 9792956768368272", "CREDIT_CARD")
