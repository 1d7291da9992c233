"""Secrets known by the name they are given to: `password = "…"`, `"api_key": "…"`, `Authorization: Bearer …`."""

from collections.abc import Callable, Iterator
from heapq import merge

from penstock_guardrail.canonical import LETTER
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.detectors.secret import is_placeholder
from penstock_guardrail.grammar import Grammar, characters, either, literals, optional, sequence, words
from penstock_guardrail.pattern import Pattern

_LEAD_CHARACTERS_MAX = 128
_VALUE_CHARACTERS_MAX = 1024
_PASSWORD_CHARACTERS_MIN = 6
_KEY_CHARACTERS_MIN = 12

_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd")
_KINDS_OF_KEY = ("api", "access", "auth", "private", "signing", "encryption", "account", "license")
_KEYS = (
    *("secret", "token", "credential"),
    *(f"{kind}{joint}key" for kind in _KINDS_OF_KEY for joint in ("", "_", "-", " ")),
)

_SPACE = characters(r"\s", 0, 3)
_QUOTE = characters("[\"'`]", 0, 2)
_NAME_END = sequence(characters("[0-9A-Za-z_-]", 0, 24), _QUOTE, optional(literals("]")))
_ASSIGNED = literals("=>", ":=", "==", "=", ":", ">", "is", "was", ignore_case=True)
_SCHEME = sequence(literals("bearer", "basic", "token", "ssws", ignore_case=True), characters(" ", 1, 2))
_VALUE = characters(f"[!#-&*+./0-:=?@A-Z^_a-z~{LETTER}-]")


def _lead(*names: str) -> Grammar:
    assigned = sequence(_NAME_END, _SPACE, _ASSIGNED, _SPACE, _QUOTE)
    return sequence(literals(*names, ignore_case=True), assigned)


_PASSWORD_LEAD = _lead(*_PASSWORDS)
_KEY_LEAD = sequence(_lead(*_KEYS, "authorization"), optional(_SCHEME))

_DIGITS = frozenset(b"0123456789")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS_AND_SPECIALS = _DIGITS | frozenset(b"!#$%&*+=?@^~")
_STAND_INS = (
    *(b"password", b"example", b"changeme", b"change-me", b"change_me", b"your", b"placeholder", b"dummy"),
    *(b"redacted", b"environ", b"getenv", b"env.", b"://", b"secrets."),
)


class AssignmentDetector:
    """Find values that look like secrets where the name beside them says that they are."""

    name = "assignment"
    version = 1
    trigger = words(literals(*_PASSWORDS, *_KEYS, "authorization", ignore_case=True))
    grammar = sequence(either(_PASSWORD_LEAD, _KEY_LEAD), _VALUE)

    def __init__(self) -> None:
        self._password_lead = Pattern(words(_PASSWORD_LEAD))
        self._key_lead = Pattern(words(_KEY_LEAD))
        self._value = Pattern(words(_VALUE))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the values that begin in [start, end)."""
        passwords = self._named(self._password_lead, _is_password, view, start, end)
        keys = self._named(self._key_lead, _is_key, view, start, end)
        return merge(passwords, keys, key=lambda candidate: candidate.start)

    def _named(
        self, lead: Pattern, judge: Callable[[bytes], bool], view: bytes, start: int, end: int
    ) -> Iterator[Candidate]:
        for _, first in lead.spans(view, max(0, start - _LEAD_CHARACTERS_MAX), end):
            found = self._value.match(view, first, first + _VALUE_CHARACTERS_MAX)
            if found is not None and judge(view[first : found[1]]) and not _is_code(view, *found):
                evidence = "named as a secret; mixed characters"
                yield Candidate(first, found[1], "SECRET", 0.8, "assignment/1", evidence)


def _is_password(value: bytes) -> bool:
    return (
        len(value) >= _PASSWORD_CHARACTERS_MIN
        and not _DIGITS_AND_SPECIALS.isdisjoint(value)
        and not _LETTERS.isdisjoint(value)
    )


def _is_key(value: bytes) -> bool:
    return len(value) >= _KEY_CHARACTERS_MIN and not _DIGITS.isdisjoint(value) and not is_placeholder(value)


def _is_code(view: bytes, start: int, end: int) -> bool:
    """Tell a literal from what stands for one: a variable, a call, a path, a word of documentation."""
    value = view[start:end].lower()
    return (
        value[:1] in {b"$", b"%", b"&", b"/", b".", b"#", b"@"}
        or view[end : end + 1] in {b"(", b"[", b"{", b"<"}
        or any(stand_in in value for stand_in in _STAND_INS)
    )
