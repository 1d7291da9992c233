"""Tokens that stand for values: `[EMAIL_ADDRESS_1:k7q2]`, short words that a small model repeats unharmed.

A token is the type, a number by order of first occurrence, and four characters of a MAC over the principal, the
number and the value. The same person's value gets the same token in the next request of a conversation, so a
cached answer still fits, and nobody else's does. Only a token that stands in the redaction session is ever
restored, so one that a model invents is not.
"""

import base64
import hmac
from collections.abc import Iterator, Sequence

from penstock_guardrail.canonical import view_of
from penstock_guardrail.detectors import Candidate
from penstock_guardrail.grammar import characters, literal, sequence, words
from penstock_guardrail.pattern import Pattern

TOKEN_TYPE = "TOKEN"  # noqa: S105 - a type of finding

_MAC_CHARACTERS = 4
_TOKEN = sequence(
    literal("["),
    characters("[A-Z]", 1, 1),
    characters("[0-9A-Z_]", 1, 40),
    literal("_"),
    characters("[0-9]", 1, 6),
    literal(":"),
    characters("[2-7a-z]", _MAC_CHARACTERS, _MAC_CHARACTERS),
    literal("]"),
)


class TokenDetector:
    """Find what has the form of a token; whether it is one, the session knows."""

    name = "token"
    version = 1
    trigger = r"\[[A-Z]"
    grammar = _TOKEN

    def __init__(self) -> None:
        self._token = Pattern(words(_TOKEN))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give what begins in [start, end)."""
        for first, last in self._token.spans(view, start, end):
            yield Candidate(first, last, TOKEN_TYPE, 1.0, "token/1", "form of a token")


def mint(key: bytes, values: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Give each type and value its token, numbered by type in the order of first occurrence."""
    tokens: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    for found_type, value in values:
        if (found_type, value) not in tokens:
            number = counts[found_type] = counts.get(found_type, 0) + 1
            mac = _mac(key, f"{found_type}_{number}", value)
            tokens[found_type, value] = f"[{found_type}_{number}:{mac}]"
    return tokens


def hashed(key: bytes, values: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Give each type and value its keyed hash, the same wherever the key is the same."""
    return {
        (
            found_type,
            value,
        ): f"[{found_type}#{hmac.digest(key, f'{found_type}|{value}'.encode(), 'sha256').hex()[:12]}]"
        for found_type, value in values
    }


def placeholder(found_type: str) -> str:
    """Write what stands for a value that is not to come back."""
    return f"[{found_type}]"


def token_of(text: str) -> str:
    """Give the token as it was minted, whatever invisible characters a model put into it."""
    return view_of(text).characters.decode("latin-1")


def type_of(token: str) -> str:
    """Give the type of the value that a token stands for."""
    return token[1:].rpartition("_")[0]


def _mac(key: bytes, name: str, value: str) -> str:
    digest = hmac.digest(key, f"{name}|{value}".encode(), "sha256")
    return base64.b32encode(digest).decode()[:_MAC_CHARACTERS].lower()
