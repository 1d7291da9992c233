"""Secrets known by the name they are given to: `password = "…"`, `"api_key": "…"`, `Authorization: Bearer …`.

How a value must look depends on how much its name says: after `password` any mixture of characters, between quotes any
word that is no stand-in; after `token` a digit among twelve; after `key` alone what is as random as keys are.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from math import log2

from penstock_guardrail.canonical import LETTER
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.detectors.secret import is_placeholder
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import Grammar, characters, either, literals, optional, sequence, words
from penstock_guardrail.pattern import Pattern

_LEAD_CHARACTERS_MAX = 192
_VALUE_CHARACTERS_MAX = 1024
_PASSWORD_CHARACTERS_MIN = 6
_QUOTED_CHARACTERS_MIN = 4
_KEY_CHARACTERS_MIN = 12
_RANDOM_CHARACTERS_MIN = 20
_AWS_SECRET_CHARACTERS = 40
_VENDOR_CHARACTERS_MAX = 24
_RANDOM_BITS_MIN = 3.2

_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "pass")
_KINDS_OF_KEY = (
    "api",
    "access",
    "auth",
    "private",
    "signing",
    "encryption",
    "account",
    "license",
    "preshared",
)
_KEYS = (
    *("secret", "token", "credential"),
    *(f"{kind}{joint}key" for kind in _KINDS_OF_KEY for joint in ("", "_", "-", " ")),
)
_WEAK = (
    "key",
    "login",
    "pat",
    "api",
    "auth",
    "psk",
    "cookie",
    "session",
    "reporter_id",
    "dsn",
    "hook",
    "bearer",
    "postmark",
    "sonar",
)

_IDENTIFIERS = ("_id", "client_id", "clientid", "app_id", "appid")

_SPACE = characters(r"[ \t\n\r]", 0, 24)
_QUOTE = characters("[\"'`]", 0, 2)
_NAME_END = sequence(characters("[0-9A-Za-z_.-]", 0, 24), _QUOTE, optional(literals("]", ")", ",")))
_ASSIGNED = either(
    literals("=>", ":=", "===", "==", "!=", "=", ":", ">", "is", "was", ignore_case=True),
    grammar_of(r"value ?="),
    grammar_of(r"for [a-z ]{0,20}[\"'][0-9A-Za-z_.@-]{1,32}[\"'] is"),
)
_SCHEME = sequence(literals("bearer", "basic", "token", "ssws", ignore_case=True), characters(" ", 1, 2))
_VALUE = characters(f"[!#-&*+./0-:?=@A-Z^_`a-z~{LETTER}-]")
_QUOTED = grammar_of(r"[^\s\"'\\][^\"'\n\\]{2,64}[\"']")


def _lead(*names: str) -> Grammar:
    assigned = sequence(_NAME_END, _SPACE, _ASSIGNED, _SPACE, _QUOTE)
    handed = grammar_of(r"[0-9A-Za-z_.-]{0,24}[\"'`], ?[\"'`]")
    optioned = grammar_of(r"[0-9a-z-]{0,16}[ =]{1,2}[\"']?")
    return either(
        sequence(literals(*names, ignore_case=True), either(assigned, handed)),
        sequence(
            literals("-", "login "), characters("[a-z-]", 0, 24), literals(*names, ignore_case=True), optioned
        ),
    )


_PASSWORD_LEAD = either(
    _lead(*_PASSWORDS),
    grammar_of(r"(?:login|user|account) [^ \n]{1,64}[ \n]{1,4}password ", ignore_case=True),
)
_PROGRAMS = ("psexec", "net use", "sshpass", "smbclient", "wmic")
_OPTION_LEAD = grammar_of(rf"(?:{'|'.join(_PROGRAMS)})[^\n]{{1,120}} -p ?[\"']?", ignore_case=True)
_QUOTED_LEAD = sequence(
    literals(*_PASSWORDS, "secret", ignore_case=True),
    _NAME_END,
    _SPACE,
    _ASSIGNED,
    _SPACE,
    characters("[\"']", 1, 1),
)
_KEY_LEAD = sequence(_lead(*_KEYS, "authorization"), optional(_SCHEME))
_WEAK_LEAD = _lead(*_WEAK)
_IDENTIFIER_LEAD = _lead(*_IDENTIFIERS)

_DIGITS = frozenset(b"0123456789")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS_AND_SPECIALS = _DIGITS | frozenset(b"!#$%&*+=?@^~")
_STAND_INS = (
    *(b"example", b"changeme", b"change-me", b"change_me", b"your", b"placeholder", b"dummy", b"redacted"),
    *(
        b"environ",
        b"getenv",
        b"env.",
        b"://",
        b"secrets.",
        b"xxxx",
        b"****",
        b"&lt;",
        b"<",
        b"${",
        b"{{",
        b"arn:",
    ),
)
_WORDS = frozenset(
    b"password passwd secret token required optional string text none null true false hidden invalid incorrect "
    b"undefined unknown empty default value input basic bearer changed reset forgotten expired weak strong".split()
)
_VARIABLE = Pattern(r"\$[a-z_{(]")
_WORD_ENDS = (b":", b"?", b"!", b".", b",", b";", b"-", b"_")

Judge = Callable[[bytes], bool]


_NAMES = words(literals(*_PASSWORDS, *_KEYS, *_WEAK, *_IDENTIFIERS, "authorization", ignore_case=True))
_TRIGGER = (
    rf"{_NAMES}[0-9A-Za-z_.-]*[\"'`\]),]*\s*(?:[=:>!,]|(?i:is|was|value|for)\b)|(?i:password) [^ ]|"
    rf"(?:-[a-z-]*|login ){_NAMES}[0-9a-z-]*[ =]|" + words(literals(*_PROGRAMS, ignore_case=True))
)


class AssignmentDetector:
    """Find values that look like secrets where the name beside them says that they are."""

    name = "assignment"
    version = 2
    trigger = _TRIGGER
    grammar = either(
        sequence(either(_PASSWORD_LEAD, _KEY_LEAD, _WEAK_LEAD, _IDENTIFIER_LEAD, _OPTION_LEAD), _VALUE),
        sequence(_QUOTED_LEAD, _QUOTED),
    )

    def __init__(self) -> None:
        value = Pattern(words(_VALUE))
        self._kinds: tuple[tuple[Pattern, Pattern, Judge], ...] = (
            (Pattern(words(_PASSWORD_LEAD)), value, _is_password),
            (Pattern(words(_KEY_LEAD)), value, _is_key),
            (Pattern(words(_WEAK_LEAD)), value, _is_random),
            (Pattern(words(_IDENTIFIER_LEAD)), value, _is_mixed),
            (Pattern(words(_OPTION_LEAD)), value, _is_word),
            (Pattern(words(_QUOTED_LEAD)), Pattern(words(_QUOTED)), _is_quoted_password),
        )

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the values that begin in [start, end)."""
        found = [self._named(*kind, view, start, end) for kind in self._kinds]
        return merge(*found, key=lambda candidate: candidate.start)

    def _named(
        self, lead: Pattern, pattern: Pattern, judge: Judge, view: bytes, start: int, end: int
    ) -> Iterator[Candidate]:
        for lead_start, first in lead.spans(view, max(0, start - _LEAD_CHARACTERS_MAX), end):
            found = pattern.match(view, first, first + _VALUE_CHARACTERS_MAX)
            if found is None:
                continue
            last = _value_end(view, first, found[1])
            before = view[max(0, lead_start - _VENDOR_CHARACTERS_MAX) : first]
            is_secret = (
                last - first == _AWS_SECRET_CHARACTERS if _is_of_aws(before) else judge(view[first:last])
            )
            if is_secret and not _is_code(view, first, last):
                evidence = "named as a secret; " + (judge.__doc__ or "").partition(":")[0].lower()
                yield Candidate(first, last, "SECRET", 0.8, "assignment/2", evidence)


def _value_end(view: bytes, start: int, end: int) -> int:
    """Leave out the quote after a value, and the parameters after it in a web address."""
    value, _, parameters = view[start:end].partition(b"&")
    if b"=" in parameters:
        return start + len(value)
    return end - (view[end - 1] in b"\"'")


def _is_of_aws(before: bytes) -> bool:
    """Tell the secret keys of AWS by their name."""
    name = before.lower()
    return b"aws" in name and b"secret" in name


def _is_word(value: bytes) -> bool:
    """A word: the option before it says what it is."""
    return len(value) >= _QUOTED_CHARACTERS_MIN


def _is_password(value: bytes) -> bool:
    """Mixed characters: letters with digits or signs."""
    return (
        len(value) >= _PASSWORD_CHARACTERS_MIN
        and not _DIGITS_AND_SPECIALS.isdisjoint(value)
        and not _LETTERS.isdisjoint(value)
        and not (b"/" in value and _DIGITS.isdisjoint(value))
    )


def _is_quoted_password(value: bytes) -> bool:
    """Quoted word: none that says what should stand there."""
    return (
        len(value) >= _QUOTED_CHARACTERS_MIN
        and value.count(b" ") <= 1
        and value.lower() not in _WORDS
        and not value.endswith(_WORD_ENDS)
        and not (b"/" in value and _DIGITS.isdisjoint(value))
        and len(set(value)) > 2  # noqa: PLR2004 - "xxx"
    )


def _is_key(value: bytes) -> bool:
    """Mixed characters: a digit among them."""
    return len(value) >= _KEY_CHARACTERS_MIN and not _DIGITS.isdisjoint(value) and not is_placeholder(value)


def _is_random(value: bytes) -> bool:
    """Random characters: as many bits in each as keys have."""
    return len(value) >= _RANDOM_CHARACTERS_MIN and _is_key(value) and _bits(value) >= _RANDOM_BITS_MIN


def _is_mixed(value: bytes) -> bool:
    """Random characters: letters of both cases and digits."""
    return _is_random(value) and value.lower() != value != value.upper()


def _bits(value: bytes) -> float:
    """Give the Shannon entropy of the characters of a value."""
    return -sum((share := value.count(byte) / len(value)) * log2(share) for byte in set(value))


def _is_code(view: bytes, start: int, end: int) -> bool:
    """Tell a literal from what stands for one: a variable, a call, a path, a word of documentation."""
    value = view[start:end].lower()
    return (
        value[:1] in {b"$", b"%", b"&", b"/", b".", b"@", b"(", b"+"}
        or (value[:1] == b"#" and value[1:].replace(b"-", b"").isalpha())
        or (view[start - 1 : start] not in {b"'", b'"'} and _VARIABLE.search(value) is not None)
        or view[end : end + 1] in {b"(", b"[", b"{", b"<"}
        or any(stand_in in value for stand_in in _STAND_INS)
    )
