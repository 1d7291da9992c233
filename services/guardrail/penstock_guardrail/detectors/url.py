"""Addresses of the web: with a scheme, with `www.`, or a domain name with a top level that no file has."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    either,
    literals,
    optional,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

_TOP_LEVELS = "com org net edu gov mil int info biz io ai app dev tech online site shop store cloud"
_LABEL = sequence(characters("[0-9A-Za-z-]", 1, 63), characters("[.]", 1, 1))
_PATH = optional(sequence(characters("[/?#:]", 1, 1), characters(r"""[^\s"'<>()\[\]{}|\\^`]""", 0, 500)))
_HOST = sequence(repeated(_LABEL, 1, 6), characters("[A-Za-z]", 2, 24))
_WITH_SCHEME = sequence(
    literals("http://", "https://", "ftp://", ignore_case=True), characters("[0-9A-Za-z]", 1, 1), _HOST, _PATH
)
_WITH_WWW = sequence(literals("www.", ignore_case=True), _HOST, _PATH)
_BARE = sequence(repeated(_LABEL, 1, 6), literals(*_TOP_LEVELS.split(), ignore_case=True), BOUNDARY, _PATH)
_ADDRESS = sequence(BOUNDARY, either(_WITH_SCHEME, _WITH_WWW, _BARE))
_TRAILING = b".,;:!?*_"


class UrlDetector:
    """Find addresses of the web."""

    name = "url"
    version = 1
    trigger = rf"(?i)://|www\.|[0-9a-z-]\.(?:{'|'.join(_TOP_LEVELS.split())})\b"
    grammar = _ADDRESS

    def __init__(self) -> None:
        self._address = Pattern(words(_ADDRESS))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the addresses that begin in [start, end)."""
        for first, longest in self._address.spans(view, start, end):
            last = first + len(view[first:longest].rstrip(_TRAILING))
            if view[first - 1 : first] not in {b"@", b".", b"-", b"/"} or first == 0:
                yield Candidate(
                    first, last, "URL", 0.9, "url/1", "scheme or domain with top level", yields=True
                )
