"""Telephone numbers: E.164 (checked against the plans of all countries), North American and national forms."""

import re
from collections.abc import Iterator

from penstock_guardrail.detectors.context import Context, continues_number
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.detectors.numbering import plan_of, plans_of, split_code
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    either,
    literal,
    literals,
    optional,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

_DIGITS_MIN, _DIGITS_MAX = 6, 15
_NO_DIGITS = bytes(sorted(set(range(256)) - set(b"0123456789")))
_GROUPS = sequence(
    characters("[0-9]", 1, 15),
    repeated(sequence(characters("[ ()./-]", 1, 2), characters("[0-9]", 1, 15)), 0, 7),
)
_EXTENSION = sequence(
    characters(" ", 0, 1),
    literals("x", "ext", "ext.", "extension", "#", ignore_case=True),
    characters(" ", 0, 1),
    characters("[0-9]", 1, 6),
)
_NUMBER = sequence(
    either(BOUNDARY, literal("+"), literal("("), literal("+("), literal("(+")), _GROUPS, optional(_EXTENSION)
)
# "office" in "22 498317 office": the word after may say what it is.
_AFTER_CHARACTERS_MAX = 10
_AFTER = sequence(characters("[ (,-]", 1, 2), characters("[A-Za-z]", 1, 8))

_CONTEXT = (
    r"tele?(?:phone|fon\w*|fax)?\b|tel\.|phones?\b|phone_?n\w+|telefones?|telefonos?|telefon\w*|"
    r"(?:call|dial|ring|text|sms)\b|fax\b|mobile?\b|movil|handy|celular|cell\b|whatsapp|answering|"
    r"reach (?:me|us|you|him|her|them)|contact\b|office\b|hotline|gsm\b|anrufen|rufnummer|appele[rz]?|"
    r"numero\b|llam\w+|ligar|chiam\w+|bel(?:len)?\b|nummer\b|my number"
)
_AGAINST = (
    r"order|invoice|ticket|account|card|ssn|iban|isbn|issn|version|serial|tracking|part no|model|zip|postal|case|"
    r"pedido|factura|cuenta|commande|facture|compte|ordine|fattura|conto|bestell|rechnung|konto|kunden"
)
_AFTER_WORDS = r"(?i)[ (,-]{1,2}(?:office|fax|mobile|home|work|cell|direct|phone|tel)\b"
_NORTH_AMERICAN = (
    r"(?:\+?1[ .-]?|001[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[.-])[0-9]{3}[.-][0-9]{4}"
    r"(?: ?(?:x|ext\.?|#) ?[0-9]{1,6})?"
)
_NO_PHONE = (
    r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?: [0-9]{1,2})?|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}|"
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]+\.[0-9]+|(?:19|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2}"
)
# National numbers are looked up in the plans of these countries where nothing else says what they are.
_REGIONS = ("GB", "DE", "FR", "IT", "ES", "NL", "SE", "CH", "AT", "AU", "IN", "JP", "BR", "ZA")
# What is dialled there before the country calling code.
_EXITS = ("0011", "010", "00")
_VALID = 0.95
_EXTENSION_SIGN = re.compile(b"[xXeE#]")
# "phone_number=" may stand there, "id=" may not.
_SET = r"(?i)(?:tel|phone|mobil|cell|fax|whatsapp|handy|movil|msisdn)[a-z_]{0,12}[\"' ]{0,2}=\z"
_NAME_CHARACTERS_MAX = 24
_SEPARATORS = b" ./-()+"
_NOT_BEFORE = (b"_", b"$", b"#", b"+", b"&")
_NOT_AFTER = (b"_", b"%", b"@")


class PhoneDetector:
    """Find telephone numbers by plan, by form, and by the words beside them."""

    name = "phone"
    version = 3
    trigger = r"[0-9](?:[ ()./-]{0,2}[0-9]){5}"
    grammar = sequence(_NUMBER, optional(_AFTER))

    def __init__(self) -> None:
        self._number = Pattern(words(_NUMBER))
        self._context = Context(_CONTEXT, 32)
        self._set = Pattern(_SET)
        self._against = Context(_AGAINST, 24)
        self._after = Pattern(_AFTER_WORDS)
        self._north_american = Pattern(_NORTH_AMERICAN)
        self._no_phone = Pattern(_NO_PHONE)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the numbers that begin in [start, end)."""
        for first, last in self._number.spans(view, start, end):
            if continues_number(view, first, _SEPARATORS) or not _stands_alone(view, first, last):
                continue
            digits = len(view[first:last].translate(None, _NO_DIGITS))
            if digits >= _DIGITS_MIN and self._may_be_set(view, first):
                confidence, evidence = self._belief(view, first, last, digits)
                if confidence > 0:
                    yield Candidate(first, last, "PHONE_NUMBER", confidence, "phone/3", evidence)

    def _may_be_set(self, view: bytes, start: int) -> bool:
        """Tell "tel=" from "id="."""
        named = view[max(0, start - _NAME_CHARACTERS_MAX) : start]
        return not named.endswith(b"=") or self._set.search(named) is not None

    def _belief(self, view: bytes, start: int, end: int, digits: int) -> tuple[float, str]:
        written = view[start:end]
        if written.startswith((b"+", b"(+")):
            return _international(_dialled(written))
        north_american = self._north_american.match(view, start, end) == (start, end)
        if digits > _DIGITS_MAX and not north_american:
            return 0.0, ""
        context = self._context.before(view, start) or self._after.match(view, end) is not None
        if north_american:
            return (0.95, "North American form; context word") if context else (0.75, "North American form")
        if self._against.before(view, start) or self._no_phone.match(view, start, end) == (start, end):
            return 0.0, ""
        if context:
            return 0.8, "digits of a phone number; context word"
        return _national(written)


def _stands_alone(view: bytes, start: int, end: int) -> bool:
    before, after = view[max(0, start - 1) : start], view[end : end + 1]
    return not (before.isalnum() or before in _NOT_BEFORE) and not (after.isalnum() or after in _NOT_AFTER)


def _dialled(written: bytes) -> str:
    """Give the digits of a number without its extension."""
    return _EXTENSION_SIGN.split(written, 1)[0].translate(None, _NO_DIGITS).decode()


def _international(digits: str) -> tuple[float, str]:
    parts = split_code(digits)
    if parts is None:
        return 0.0, ""
    code, number = parts
    plans = plans_of(code)
    if any(plan.has(number) for plan in plans):
        return _VALID, f"valid in the plan of +{code}"
    if plans[0].has_length(number):
        return 0.7, f"possible in the plan of +{code}"
    return 0.0, ""


def _national(written: bytes) -> tuple[float, str]:
    """Believe a grouped number with a trunk prefix or an exit code that is valid in one of the plans."""
    if not written.startswith((b"0", b"(0")) or written.isdigit():
        return 0.0, ""
    digits = _dialled(written)
    for region in _REGIONS:
        if plan_of(region).has(digits):
            return 0.6, f"valid in the plan of {region}"
    for exit_code in _EXITS:
        if digits.startswith(exit_code):
            confidence, evidence = _international(digits.removeprefix(exit_code))
            if confidence == _VALID:
                return 0.6, evidence
    return 0.0, ""
