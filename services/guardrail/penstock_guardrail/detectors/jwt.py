"""JSON Web Tokens (RFC 7519) in compact form: two or three base64url parts, the first of which is a JOSE header."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator

from penstock_guardrail.detectors.detector import MATCH_CHARACTERS_MAX, Candidate
from penstock_guardrail.grammar import BOUNDARY, characters, literal, optional, sequence, words
from penstock_guardrail.pattern import Pattern

_HEADER_CHARACTERS_MAX = 1024
_BASE64URL = "[0-9A-Za-z_-]"
_OBJECT = "eyJ"
_SECOND_OBJECT = b".eyJ"
_PART = characters(_BASE64URL, 4)
_REST = sequence(_PART, optional(sequence(literal("."), characters(_BASE64URL, 0))))
_TOKEN = sequence(BOUNDARY, literal(_OBJECT), _PART, literal(_SECOND_OBJECT.decode()), _REST)


class JwtDetector:
    """Find signed and unsigned tokens by the border between their first two parts."""

    name = "jwt"
    version = 1
    trigger = r"\.eyJ"
    grammar = _TOKEN

    def __init__(self) -> None:
        self._header_end = Pattern(rf"\b{_OBJECT}{words(_PART)}\z")
        self._rest = Pattern(words(_REST))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the tokens that begin in [start, end)."""
        dot = view.find(_SECOND_OBJECT, start)
        while 0 <= dot < end + _HEADER_CHARACTERS_MAX:
            first = self._header_start(view, dot)
            if first is not None:
                last = first + MATCH_CHARACTERS_MAX - 1
                found = self._rest.match(view, dot + len(_SECOND_OBJECT), last)
                if found is not None:
                    yield Candidate(first, found[1], "SECRET", 0.99, "jwt/1", "JOSE header parsed")
            dot = view.find(_SECOND_OBJECT, dot + 1)

    def _header_start(self, view: bytes, dot: int) -> int | None:
        before = max(0, dot - _HEADER_CHARACTERS_MAX)
        found = self._header_end.search(view[before:dot])
        if found is None or not _is_jose_header(view[before + found[0] : dot]):
            return None
        return before + found[0]


def _is_jose_header(part: bytes) -> bool:
    try:
        header = json.loads(urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header
