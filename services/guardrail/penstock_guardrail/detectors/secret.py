"""Keys and tokens whose form says who issued them."""

import zlib
from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.detectors.secret_formats import FORMATS, TRIGGER
from penstock_guardrail.grammar import either, words
from penstock_guardrail.pattern import Pattern

_ANY = either(*(form.grammar for form in FORMATS))
_DISTINCT_CHARACTERS_MIN = 2
_HEX = frozenset(b"0123456789abcdef")
_DIGITS = frozenset(b"0123456789")
_EXAMPLE = b"EXAMPLE"
_PLACEHOLDERS = (b"xxxx", b"XXXX", b"****", b"....", b"00000000")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_CHARACTERS = 6
_CHECKSUM_ISSUERS = (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")


class SecretDetector:
    """Find keys and tokens of well-known issuers."""

    name = "secret"
    version = 2
    trigger = TRIGGER
    grammar = _ANY

    def __init__(self) -> None:
        self._any = Pattern(words(_ANY))
        self._formats = [(form.issuer, Pattern(words(form.grammar))) for form in FORMATS]

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the keys that begin in [start, end)."""
        for first, last in self._any.spans(view, start, end):
            value = view[first:last]
            if not (is_placeholder(value) or _is_name(value)):
                confidence, checked = _belief(value)
                evidence = f"format of {self._issuer(view, first, last)}{checked}"
                yield Candidate(first, last, "SECRET", confidence, "secret/2", evidence)

    def _issuer(self, view: bytes, start: int, end: int) -> str:
        return next(issuer for issuer, each in self._formats if each.match(view, start) == (start, end))


def is_placeholder(value: bytes) -> bool:
    """Tell what stands in documentation in the place of a key."""
    return (
        len(set(value)) < _DISTINCT_CHARACTERS_MIN
        or value.upper().endswith(_EXAMPLE)
        or any(placeholder in value for placeholder in _PLACEHOLDERS)
        or _is_made_up(value)
    )


def _is_made_up(value: bytes) -> bool:
    """Tell a UUID of documentation, whose letters go beyond f."""
    groups = value.lower().rsplit(b"-", 4)
    if tuple(map(len, groups[1:])) != (4, 4, 4, 12):
        return False
    return not _HEX.issuperset(b"".join(groups[1:]))


def _is_name(value: bytes) -> bool:
    """Tell "s.addComponentsFromRegistry", a name in a program, from a token of Vault."""
    return value[1:2] == b"." and _DIGITS.isdisjoint(value)


def _belief(value: bytes) -> tuple[float, str]:
    if not value.startswith(_CHECKSUM_ISSUERS):
        return 0.95, ""
    body, checksum = value[4:-_CHECKSUM_CHARACTERS], value[-_CHECKSUM_CHARACTERS:]
    if _base62(zlib.crc32(body)) == checksum.decode():
        return 0.99, "; checksum passed"
    return 0.8, "; checksum unknown"


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits.rjust(_CHECKSUM_CHARACTERS, _BASE62[0])
