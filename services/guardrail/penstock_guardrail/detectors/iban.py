"""International bank account numbers (ISO 13616): country, length and the check digits of ISO 7064 MOD 97-10."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    Grammar,
    characters,
    either,
    literals,
    optional,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

_COUNTRIES_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_HEAD_CHARACTERS = 4
_SEPARATORS = b" -"
_MODULUS = 97


def _accounts(length: int, countries: str) -> Grammar:
    character = sequence(optional(characters("[ -]", 1, 1)), characters("[0-9A-Za-z]", 1, 1))
    rest = length - _HEAD_CHARACTERS
    country = literals(*countries.split(), ignore_case=True)
    return sequence(country, characters("[0-9]", 2, 2), repeated(character, rest, rest))


_ACCOUNT = sequence(BOUNDARY, either(*(_accounts(*row) for row in _COUNTRIES_BY_LENGTH.items())), BOUNDARY)


class IbanDetector:
    """Find international bank account numbers."""

    name = "iban"
    version = 1
    trigger = r"[A-Za-z]{2}[0-9]{2}[ -]?[0-9A-Za-z]{4}"
    grammar = _ACCOUNT

    def __init__(self) -> None:
        self._account = Pattern(words(_ACCOUNT))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the accounts that begin in [start, end)."""
        for first, last in self._account.spans(view, start, end):
            if check_digits_fit(view[first:last].translate(None, _SEPARATORS)):
                evidence = "country's length; check digits passed"
                yield Candidate(first, last, "IBAN_CODE", 0.99, "iban/1", evidence)


def check_digits_fit(account: bytes) -> bool:
    """Check that the account, head moved to the end and letters as 10 to 35, is 1 modulo 97."""
    turned = account[_HEAD_CHARACTERS:] + account[:_HEAD_CHARACTERS]
    return int("".join(str(int(chr(character), 36)) for character in turned)) % _MODULUS == 1
