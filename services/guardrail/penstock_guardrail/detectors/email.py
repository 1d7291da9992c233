"""E-mail addresses: dot-atom local parts (RFC 5322) at domain names with a TLD of letters."""

from collections.abc import Iterator

from penstock_guardrail.canonical import LETTER
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    either,
    literal,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

# RFC 5321 ends local parts at 64. A longer one delivers nothing and may still name somebody.
_LOCAL_CHARACTERS_MAX = 1024
_USERINFO_CHARACTERS_MAX = 384
_FIRST = f"[0-9A-Za-z_{LETTER}]"
_LOCAL = f"[0-9A-Za-z._%+'{LETTER}-]"
_LABEL = f"[0-9A-Za-z{LETTER}-]"

_LABELS = repeated(sequence(characters(_LABEL, 1, 63), literal(".")), 1, 8)
_TLD = either(
    characters("[A-Za-z]", 2, 24), sequence(literal("xn--", ignore_case=True), characters(_LABEL, 2, 59))
)
_DOMAIN = sequence(_LABELS, _TLD, BOUNDARY)
_ADDRESS = sequence(characters(_FIRST, 1, 1), characters(_LOCAL, 0), literal("@"), _DOMAIN)

# "icon@2x.png" is a file, "git@github.com:" the way to clone.
_FILE_SUFFIXES = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp")
_SLASHES = b"://"
_CLONE_USER = b"git"


class EmailDetector:
    """Find e-mail addresses from their `@` outwards."""

    name = "email"
    version = 1
    trigger = "@"
    grammar = _ADDRESS

    def __init__(self) -> None:
        self._host = Pattern(words(sequence(literal("@"), _DOMAIN)))
        self._local_end = Pattern(rf"{_FIRST}{_LOCAL}*\z")
        self._userinfo_end = Pattern(r"://[^\s/@]*:[^\s/@]*\z")

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the addresses that begin in [start, end)."""
        for at, last in self._host.spans(view, start, end + _LOCAL_CHARACTERS_MAX):
            before = max(0, at - _LOCAL_CHARACTERS_MAX)
            local = self._local_end.search(view[before:at])
            if local is not None and self._believed(view, before + local[0], at, last):
                evidence = "local part; domain with top level"
                yield Candidate(before + local[0], last, "EMAIL_ADDRESS", 0.98, "email/1", evidence)

    def _believed(self, view: bytes, local: int, at: int, end: int) -> bool:
        if view[max(0, local - len(_SLASHES)) : local] == _SLASHES:
            return False
        if view[local:at] == _CLONE_USER or view[local:end].lower().endswith(_FILE_SUFFIXES):
            return False
        # In "scheme://user:password@host" what stands before the @ is a password, found as one.
        return self._userinfo_end.search(view[max(0, at - _USERINFO_CHARACTERS_MAX) : at]) is None
