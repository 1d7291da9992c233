"""What is found, what is not, and why."""

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_guardrail.cutter import CANDIDATES_MAX, Cutter, Piece
from penstock_guardrail.detectors.card import issuer, luhn
from penstock_guardrail.detectors.iban import check_digits_fit

HARD_CHARACTERS = 65_536
# What is guessed from words, and what has tests of its own.
BESIDE = {"PERSON", "LOCATION", "ORGANIZATION", "TITLE"}
KEY_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\nab12==\n-----END RSA PRIVATE KEY-----"
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0"
    ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)
GITHUB_BODY = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def find(rules):
    def found(text: str) -> list[tuple[str, str]]:
        found = [(piece.found, piece.text) for piece in _pieces(rules, text) if piece.found]
        return [(each.type, value) for each, value in found if each.type not in BESIDE]

    return found


def _pieces(rules, text: str) -> list[Piece]:
    return Cutter(rules.incoming).finish(text)


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com",
        "Ann.O'Neil+tag@mail.example.co.uk",
        "josé@münchen.de",
        "a_b%c-d@x-y.museum",
        "x@xn--bcher-kva.xn--p1ai",
        f"{'l' * 64}@example.com",
    ],
)
def test_email_addresses_are_found_to_their_ends(find, address):
    for text in (address, f"({address})", f"mailto:{address}.", f"请写信给{address}吧", f"'{address}',"):
        assert find(text) == [("EMAIL_ADDRESS", address)]


@pytest.mark.parametrize(
    "text", ["@ann", "ann@localhost", "a@b.c", "img@2x.png", "git@github.com:o/r.git", "5 @ 3.50", "x@1.2.3"]
)
def test_what_only_looks_like_an_email_address_is_none(find, text):
    assert find(text) == []


@pytest.mark.parametrize(
    "number",
    [
        "5018 0000 0009",
        "4222222222222",
        "30569309025904",
        "378282246310005",
        "4111111111111111",
        "4111-1111-1111-1111",
        "4111 1111 1111 1111",
        "5555.5555.5555.4444",
        "6011 1111 1111 1117",
        "3530111333300000",
        "2223003122003222",
        "62123456789000003",
        "6304000000000000",
        "6759000000000000005",
    ],
)
def test_luhn_lengths_12_to_19(find, number):
    digits = "".join(character for character in number if character.isdigit())
    if not luhn(digits.encode()):
        number = _with_check_digit(number)
    assert find(f"it is {number}, thanks") == [("CREDIT_CARD", number)]


def _with_check_digit(number: str) -> str:
    return next(
        number[:-1] + digit
        for digit in "0123456789"
        if luhn("".join(c for c in number[:-1] + digit if c.isdigit()).encode())
    )


def test_every_length_from_12_to_19_is_found_when_a_word_says_that_it_is_a_card(find):
    for length in range(12, 20):
        number = _with_check_digit("9" * (length - 1) + "0")
        assert find(f"credit card {number}") == [("CREDIT_CARD", number)]


def test_the_group_after_a_card_number_is_not_its_part(find):
    assert find("4111 1111 1111 1111 123") == [("CREDIT_CARD", "4111 1111 1111 1111")]
    assert find("12 4111 1111 1111 1111 9") == [("CREDIT_CARD", "4111 1111 1111 1111")]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # checksum
        "1700000000000",  # milliseconds since the epoch
        "0000 0000 0000 0000",
        "0.5384615384615384",  # a fraction
        "x4111111111111111",
        "41111111111111111111111111",
    ],
)
def test_what_only_looks_like_a_card_number_is_none(find, text):
    assert find(text) == []


@given(st.integers(min_value=10**11, max_value=10**18 - 1))
def test_luhn_finds_every_single_wrong_digit(number):
    digits = _with_check_digit(f"{number}0")
    assert luhn(digits.encode())
    for index, digit in enumerate(digits):
        wrong = f"{digits[:index]}{(int(digit) + 1) % 10}{digits[index + 1 :]}"
        assert not luhn(wrong.encode())


def test_issuers_are_known_by_range_and_length():
    assert issuer(b"4111111111111111") == "visa"
    assert issuer(b"411111111111111") is None
    assert issuer(b"2720999999999996") == "mastercard"
    assert issuer(b"2721000000000000") is None
    assert issuer(b"000000000000") is None


@pytest.mark.parametrize(
    "account",
    [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "no9386011117947",
    ],
)
def test_ibans_are_found_with_their_country_length_and_check_digits(find, account):
    assert find(f"to {account} and then") == [("IBAN_CODE", account)]


@pytest.mark.parametrize(
    "text", ["DE88370400440532013000", "DE893704004405320130001", "ZZ89370400440532013000", "is 20 years"]
)
def test_what_only_looks_like_an_iban_is_none(find, text):
    assert find(text) == []


def test_check_digits_are_those_of_the_standard():
    assert check_digits_fit(b"MT84MALT011000012345MTLCAST001S")
    assert not check_digits_fit(b"MT85MALT011000012345MTLCAST001S")


def test_social_security_numbers_need_a_form_or_a_word_beside_them(find):
    assert find("it is 536-90-4399.") == [("US_SSN", "536-90-4399")]
    assert find("my SSN: 536904399") == [("US_SSN", "536904399")]
    assert find("order 536904399") == []
    assert find("000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 123-45 6789") == []


def test_addresses_that_lead_to_somebody_are_found(find):
    assert find("from 203.0.113.7:8080 and 10.1.2.3.") == [
        ("IP_ADDRESS", "203.0.113.7"),
        ("IP_ADDRESS", "10.1.2.3"),
    ]
    assert find("at 2001:db8:0:0:0:0:2:1 or fe80::1") == [
        ("IP_ADDRESS", "2001:db8:0:0:0:0:2:1"),
        ("IP_ADDRESS", "fe80::1"),
    ]
    assert (
        find("127.0.0.1 0.0.0.0 255.255.255.0 1.2.3.4.5 300.1.2.3 version 1.2.3.4 12:34:56 a::b Face::add")
        == []
    )


def test_private_keys_are_found_whole_and_begun_and_not_their_mention(find):
    assert find(f"key:\n{PEM}\nend") == [("PRIVATE_KEY", PEM)]
    assert find(json.dumps({"k": PEM})) == [("PRIVATE_KEY", PEM.replace("\n", "\\n"))]
    begun = PEM[:120]
    assert find(begun) == [("PRIVATE_KEY", begun)]
    assert find("begins with -----BEGIN RSA PRIVATE KEY----- as you know") == []


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAQWERTYUIOPASDFGH",
        f"psk_{'aZ3-_kQ9' * 5}xyz",
        "glpat-x1Y2z3A4b5C6d7E8f9G0",
        "xoxb-1234567890-abcdefABCDEF",
        "sk_live_dhhfUUyfrAace5dBAZ10JrAD",
        "sk-proj-abcDEF123_456-ghiJKL789mnoPQR",
        "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
        JWT,
    ],
)
def test_keys_are_found_by_the_form_of_their_issuer(find, secret):
    assert find(f"use {secret} here") == [("SECRET", secret)]
    assert find(f'token: "{secret}"') == [("SECRET", secret)]


def test_a_checksum_raises_the_belief_in_a_key(rules):
    checksum = ""
    number = zlib.crc32(GITHUB_BODY.encode())
    while number:
        number, digit = divmod(number, 62)
        checksum = BASE62[digit] + checksum
    right, wrong = (f"ghp_{GITHUB_BODY}{end}" for end in (checksum.rjust(6, "0"), "zzzzzz"))
    beliefs = [
        piece.found.confidence
        for piece in _pieces(rules, f"{right} {wrong}")
        if piece.found is not None and piece.found.type == "SECRET"
    ]
    assert beliefs == [0.99, 0.8]


def test_a_token_without_a_jose_header_is_no_jwt(find):
    header = base64.urlsafe_b64encode(b'{"no":"algorithm"}').decode().rstrip("=")
    assert find(f"{header}.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('password = "hunter2!x"', "hunter2!x"),
        ("DB_PASSWORD=s3cr3tpw", "s3cr3tpw"),
        ('{"api_key": "0f9e8d7c6b5a4f3e2d1c"}', "0f9e8d7c6b5a4f3e2d1c"),
        ("Authorization: Bearer 38bb7b318cc6898c80317decb3", "38bb7b318cc6898c80317decb3"),
        ("The password is Tr0ub4dor&3", "Tr0ub4dor&3"),
        ("postgresql://app:s3cr3t@db.example.com/x", "s3cr3t"),
    ],
)
def test_secrets_are_found_by_the_name_beside_them(find, text, value):
    assert find(text) == [("SECRET", value)]


@pytest.mark.parametrize(
    "text",
    [
        "password: required",
        'password = os.environ["DB_PASSWORD"]',
        "token = get_token(user1)",
        "password=${DB_PASSWORD1}",
        'api_key = "YOUR_API_KEY_1234"',
        "AKIAIOSFODNN7EXAMPLE",
        f"ghp_{'x' * 36}",
        "the secret of 2024 is out",
        "postgresql://user:password@host/db",
    ],
)
def test_what_stands_for_a_secret_is_none(find, text):
    assert find(text) == []


def test_what_overlaps_is_covered_whole(find):
    text = "4111 1111 1111 1111.ann@example.com"
    found = find(text)
    assert found[0] == ("CREDIT_CARD", "4111 1111 1111 1111")
    assert "".join(value for _, value in found) == text


@pytest.mark.parametrize(
    "unit",
    [
        *("a@", "a@a.", "@a.", "4000 ", "1.2.", "a:", "eyJaaaa.", "password=", "password is ", "xoxb-"),
        *("-----BEGIN PRIVATE KEY-----\n", "DE89 ", "://a:", "://a:b@", "a", "4\u200b", "\u200b", "["),
    ],
)
def test_regex_is_linear(find, unit):
    """A text made to be hard is searched to its end; were anything quadratic, this would take an hour."""
    find(unit * (HARD_CHARACTERS // len(unit)))


def test_more_findings_than_anyone_writes_end_the_search(rules):
    pieces = _pieces(rules, "ann@example.com " * 20_000)
    assert [piece.found.type for piece in pieces if piece.found][-1] == "TOO_MANY_FINDINGS"
    assert sum(piece.found is not None for piece in pieces) == CANDIDATES_MAX + 1
