"""The folded view of a text: UTF-8 in lower case, accents, look-alikes and hidden characters taken off.

It keeps what the canonical view gives up, the letters of every script, because attacks are written in all of them;
and it reads what nobody sees: tag characters and selectors of variants are ASCII that only a model reads.
"""

import re
import unicodedata

import numpy as np

from penstock_guardrail.canonical import HIDDEN_ASCII

_ASCII_END = 0x80
_TABLE_ENTRIES_MAX = 65_536
_IGNORED_CATEGORIES = frozenset({"Cf", "Mn", "Me"})
# Letters of other scripts that are read as Latin ones (UTS #39), those that occur in attacks.
_LOOK_ALIKES = dict(
    zip(
        "абвеёікмнорстухѕјԁԛԝһӏցոսɑɡıοανρτυικχε",
        "abbeeikmhopctyxsjdqwhlgnuagioavptuikxe",
        strict=True,
    )
)
_WHITE = np.frombuffer(b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f", np.uint8)
_OUTSIDE_ASCII = re.compile(r"[^\x00-\x7f]+")
_LATIN = frozenset("abcdefghijklmnopqrstuvwxyz")


def folded(text: str) -> bytes:
    """Fold a text. O(len(text)); every run of white space becomes one space, one stands at each end."""
    if not text.isascii():
        text = _OUTSIDE_ASCII.sub(_folded_run, text)
    return b" %b " % b" ".join(text.lower().encode("utf-8", "replace").split())


def origin(text: str, view: bytes, start: int, end: int) -> tuple[int, int]:
    """Give the characters of a text that [start, end) of its folded view stands for. O(len(text)).

    Both are counted by what is not white space. Where lower case is longer than upper case, the end may be some off.
    """
    if text.isascii():
        sizes = np.isin(np.frombuffer(text.encode(), np.uint8), _WHITE, invert=True)
    else:
        sizes = np.array(
            [
                len(each.lower().encode("utf-8", "replace")) * (not each.isspace())
                for each in map(_folded_one, text)
            ]
        )
    seen = np.cumsum(sizes)
    before, until = (at - view.count(b" ", 0, at) for at in (start, end))
    first = int(np.searchsorted(seen, before, "right"))
    return min(first, len(text)), min(int(np.searchsorted(seen, until, "left")) + 1, len(text))


def _folded_one(character: str) -> str:
    return _TABLE[ord(character)]


def _folded_run(run: re.Match[str]) -> str:
    """Fold what stands between ASCII; beside a Latin letter, what looks like Latin letters is read as such."""
    plain = run[0].translate(_TABLE)
    beside = run.string[max(0, run.start() - 1) : run.start()] + run.string[run.end() : run.end() + 1]
    if plain.isascii() or _LATIN.isdisjoint(beside.lower()):
        return plain
    return "".join(_LOOK_ALIKES.get(each, each) for each in plain.lower())


def _folded_character(code: int) -> str:
    if code in HIDDEN_ASCII:
        return HIDDEN_ASCII[code]
    character = chr(code)
    if unicodedata.category(character) in _IGNORED_CATEGORIES:
        return ""
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(each for each in decomposed if unicodedata.category(each) != "Mn")


class _Table(dict[int, str]):
    """Memoise `_folded_character` for the code points in use, as many as there is room for."""

    def __missing__(self, code: int) -> str:
        value = chr(code) if code < _ASCII_END else _folded_character(code)
        if len(self) < _TABLE_ENTRIES_MAX:
            self[code] = value
        return value


_TABLE = _Table()
