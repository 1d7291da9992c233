"""What a text says to a model that decodes it: base64, hexadecimal, percent and HTML escapes, rot13, backwards, leet.

Each is tried only where the text looks like it, on so much of it, and twice at most one in the other.
"""

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from penstock_guardrail.pattern import PatternSet

_DEPTH_MAX = 2
_RUNS_MAX = 16
_CHARACTERS_MAX = 16_384
_PRINTABLE_SHARE_MIN = 0.9

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){16,}")
_MIXED_WORD = re.compile(r"[A-Za-z0-9@$!]+")
_LETTER_APART = re.compile(r"(?<=\b\w)[ .\-_*](?=\w\b)")
_LEET = str.maketrans("01345789@$!", "oieastbgasi")

Decoder = Callable[[str], str]


def _base64(text: str) -> str:
    return _runs(_BASE64, text, lambda run: base64.urlsafe_b64decode(_padded(run.translate(_URL_SAFE))))


def _hexadecimal(text: str) -> str:
    return _runs(_HEXADECIMAL, text, lambda run: bytes.fromhex(run.replace(":", " ")))


def _runs(pattern: re.Pattern[str], text: str, decode: Callable[[str], bytes]) -> str:
    decoded = []
    for number, run in enumerate(pattern.finditer(text)):
        if number >= _RUNS_MAX:
            break
        try:
            decoded.append(decode(run[0]).decode())
        except (binascii.Error, ValueError):
            continue
    return " ".join(decoded)


_URL_SAFE = str.maketrans("+/", "-_")


def _padded(run: str) -> str:
    body = run.rstrip("=")
    return body[: len(body) - (len(body) % 4 == 1)] + "=" * (-len(body) % 4)


def _leet(text: str) -> str:
    return _MIXED_WORD.sub(lambda word: word[0].translate(_LEET) if not word[0].isdigit() else word[0], text)


# A name that findings give, what the text must hold for it to be tried, and how it is done.
_DECODERS: tuple[tuple[str, str, Decoder], ...] = (
    ("base64", r"[A-Za-z0-9+/_-]{24}", _base64),
    ("hexadecimal", r"(?:[0-9A-Fa-f][0-9A-Fa-f][ :]?){16}", _hexadecimal),
    ("percent escapes", r"%[2-7][0-9A-Fa-f]\w*%[2-7][0-9A-Fa-f]", unquote),
    ("HTML escapes", r"&#x?[0-9A-Fa-f]+;", html.unescape),
    (
        "rot13",
        r"(?i)vtaber|vafgehpg|flfgrz|cebzcg|qvfertneq|cerivbhf|sbetrg|erirny",
        lambda text: codecs.encode(text, "rot13"),
    ),
    ("backwards", r"(?i)snoitcurts|erongi|tpmorp|suoiverp|metsys|drager", lambda text: text[::-1]),
    ("leet", r"[A-Za-z][013457@$][A-Za-z0-9@$]*[^A-Za-z0-9]+(?:\w+ )?\w*[A-Za-z0-9][013457@$][a-z]", _leet),
    (
        "letters apart",
        r"\b\w[ .*_-]\w[ .*_-]\w[ .*_-]\w[ .*_-]\w[ .*_-]\w\b",
        lambda t: _LETTER_APART.sub("", t),
    ),
)


class Decodings:
    """Give what a text says when it is decoded."""

    def __init__(self) -> None:
        self._triggers = PatternSet(trigger for _, trigger, _ in _DECODERS)

    def of(self, text: str, depth: int = 1) -> Iterator[tuple[str, str]]:
        """Give the name of each encoding and the text that it hid."""
        for position in self._triggers.found_in(text.encode("utf-8", "replace")):
            name, _, decode = _DECODERS[position]
            decoded = decode(text[:_CHARACTERS_MAX])
            if decoded != text and _is_text(decoded):
                yield name, decoded
                if depth < _DEPTH_MAX:
                    yield from self.of(decoded, depth + 1)


def _is_text(decoded: str) -> bool:
    letters = sum(map(str.isalpha, decoded)) + decoded.count(" ")
    return len(decoded) > 0 and decoded.isprintable() and letters >= _PRINTABLE_SHARE_MIN * len(decoded) * 0.9
