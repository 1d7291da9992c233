"""Passwords in the authority of a URL (RFC 3986, section 3.2.1): "postgresql://user:password@host"."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import characters, literal, sequence, words
from penstock_guardrail.pattern import Pattern

_SLASHES = b"://"
_LEAD_CHARACTERS_MAX = 160
_USER = characters(r"""[^\s/:@"'<>`{}$[\]\\]""", 0, 128)
_PASSWORD = characters(r"""[^\s/:@"'<>`{}$[\]\\]""", 1, 256)
_USERINFO = sequence(literal(_SLASHES.decode()), _USER, literal(":"), _PASSWORD, literal("@"))
_PLACEHOLDERS = frozenset({b"password", b"pass", b"pwd", b"secret", b"token"})


class UrlPasswordDetector:
    """Find the password between the colon and the at sign."""

    name = "url-password"
    version = 1
    trigger = r"://[^\s/@]*:[^\s/@]*@"
    grammar = _USERINFO

    def __init__(self) -> None:
        self._userinfo = Pattern(words(_USERINFO))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the passwords that begin in [start, end)."""
        first = view.find(_SLASHES, max(0, start - _LEAD_CHARACTERS_MAX))
        while 0 <= first < end:
            found = self._userinfo.match(view, first)
            if found is not None:
                password = view.index(b":", first + len(_SLASHES)) + 1
                at = found[1] - 1
                if view[password:at].lower() not in _PLACEHOLDERS:
                    evidence = "between colon and at sign of a URL"
                    yield Candidate(password, at, "SECRET", 0.9, "url-password/1", evidence)
            first = view.find(_SLASHES, first + 1)
