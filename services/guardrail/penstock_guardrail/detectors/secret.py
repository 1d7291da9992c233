"""Keys and tokens whose form says who issued them."""

import zlib
from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.detectors.secret_formats import FORMATS, TRIGGER
from penstock_guardrail.grammar import BOUNDARY, either, sequence, words
from penstock_guardrail.pattern import Pattern

_ANY = sequence(BOUNDARY, either(*(form.grammar for form in FORMATS)), BOUNDARY)
_DISTINCT_CHARACTERS_MIN = 8
_EXAMPLE = b"EXAMPLE"
_PLACEHOLDERS = (b"xxxx", b"XXXX", b"****", b"....", b"1234567890abcdef")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_CHARACTERS = 6
_CHECKSUM_ISSUERS = (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")


class SecretDetector:
    """Find keys and tokens of well-known issuers."""

    name = "secret"
    version = 1
    trigger = TRIGGER
    grammar = _ANY

    def __init__(self) -> None:
        self._any = Pattern(words(_ANY))
        self._formats = [(form.issuer, Pattern(words(form.grammar))) for form in FORMATS]

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the keys that begin in [start, end)."""
        for first, last in self._any.spans(view, start, end):
            value = view[first:last]
            if not is_placeholder(value):
                confidence, checked = _belief(value)
                evidence = f"format of {self._issuer(value)}{checked}"
                yield Candidate(first, last, "SECRET", confidence, "secret/1", evidence)

    def _issuer(self, value: bytes) -> str:
        whole = (0, len(value))
        return next(issuer for issuer, pattern in self._formats if pattern.match(value) == whole)


def is_placeholder(value: bytes) -> bool:
    """Tell what stands in documentation in the place of a key."""
    return (
        len(set(value)) < _DISTINCT_CHARACTERS_MIN
        or value.upper().endswith(_EXAMPLE)
        or any(placeholder in value for placeholder in _PLACEHOLDERS)
    )


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
