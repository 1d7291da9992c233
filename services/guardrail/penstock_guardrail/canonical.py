"""The canonical view of a text: one byte a character, with the disguises taken off and the way back to the original.

Detectors see this view only. It is made character by character, so it is the same however the text was split:
compatibility forms (full-width and mathematical digits and letters) become ASCII (NFKC, UAX #15), letters with marks
their base, letters of other scripts that look like Latin ones those (UTS #39), decimal digits of any script 0-9, dashes
and spaces `-` and ` `, and what a reader does not see (zero-width, bidirectional and tag characters, selectors of
variants, combining marks) is left out. Escapes of JSON strings become what they stand for, since tool calls are JSON.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A letter or number outside ASCII, of a script that parts words by spaces: it belongs to the word it stands in.
LETTER = "\xaa"
# Any other character outside ASCII.
OTHER = "\xff"

_LEFT_OUT = 0x100
_ASCII_END = 0x80
_CODES = 0x110000
_PAGE_BITS = 8
_IGNORED_CATEGORIES = frozenset({"Cf", "Mn", "Me"})
_HANGUL_FILLERS = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0})
_MINUS_SIGN = 0x2212
_MINUS = "-"
_BY_CATEGORY = {"Pd": _MINUS, "Zs": " ", "Zl": "\n", "Zp": "\n"}
# Thai and Lao, Myanmar, Khmer: no spaces between words, as in East Asia.
_SCRIPTS_WITHOUT_SPACES = ((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800))
# What Latin letters are mistaken for: Cyrillic, Greek, Armenian, Latin letters of their own.
_LOOKALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТУХԌԚԜаеѕіјорсухһԁԛԝѵӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονιρυκՕՍոսօցıɑɡɩʏ",
        "ABESIJKMHOPCTYXGQWaesijopcyxhdqwvlABEZHIKMNOPTYXaovirukOUnuogiagiy",
        strict=True,
    )
)


# Strings within strings have their backslashes doubled.
_ESCAPE = re.compile(r"""\\{1,8}(?:["'/bfnrt]|u[0-9A-Fa-f]{4})""")
_ESCAPE_BEGUN = re.compile(r"\\{1,8}(?:u[0-9A-Fa-f]{0,3})?\Z")
_ESCAPE_CHARACTERS_MAX = 12
# ASCII that only a model reads: tag characters, and selectors of variants, which name bytes from 16 on behind an emoji.
HIDDEN_ASCII = {first + code: chr(code) for first in (0xE0000, 0xE00F0) for code in range(0x20, 0x7F)}
_HIDDEN = re.compile(f"[{''.join(map(chr, HIDDEN_ASCII))}]")
_STANDS_FOR = {**dict.fromkeys("bfnrt", "\n"), **{each: each for each in "\"'/"}}


@dataclass(frozen=True, slots=True)
class View:
    """A canonical text and where each of its characters starts and ends in the original."""

    characters: bytes
    starts: Sequence[int]
    ends: Sequence[int]

    def followed_by(self, other: "View") -> "View":
        """Append the view of the text that follows."""
        starts, ends = _joined(self.starts, other.starts), _joined(self.ends, other.ends)
        return View(self.characters + other.characters, starts, ends)

    def since(self, index: int) -> "View":
        """Forget everything before an index."""
        return View(self.characters[index:], self.starts[index:], self.ends[index:])


EMPTY = View(b"", range(0), range(0))


def view_of(text: str, offset: int = 0) -> View:
    """Make the view of a text, or of the part of one that begins at an offset. O(len(text))."""
    starts: Sequence[int] = range(offset, offset + len(text))
    ends: Sequence[int] = range(offset + 1, offset + len(text) + 1)
    if "\\" in text and (spans := [match.span() for match in _ESCAPE.finditer(text)]):
        starts, ends = _places(spans, starts, ends)
        text = _ESCAPE.sub(_stands_for, text)
    if text.isascii():
        return View(text.encode(), starts, ends)
    characters = _TABLE.read(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32))
    kept = characters != _LEFT_OUT
    if not kept.all():
        characters = characters[kept]
        starts, ends = np.array(starts)[kept].tolist(), np.array(ends)[kept].tolist()
    return View(characters.astype(np.uint8).tobytes(), starts, ends)


def has_hidden(text: str) -> bool:
    """Tell whether a text holds characters that only a model reads."""
    return not text.isascii() and _HIDDEN.search(text) is not None


def hidden_spelled(text: str) -> str:
    """Write what only a model reads as the ASCII that it stands for, one for one."""
    return text.translate(HIDDEN_ASCII)


def whole_escapes(text: str) -> int:
    """Count the characters before what, at the end of a text, may be the beginning of an escape."""
    begun = _ESCAPE_BEGUN.search(text, max(0, len(text) - _ESCAPE_CHARACTERS_MAX))
    return begun.start() if begun else len(text)


def _places(
    escapes: Sequence[tuple[int, int]], starts: Sequence[int], ends: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Give where the characters of a text start and end when each escape is one of them."""
    spans, inside = np.array(escapes), np.zeros(len(starts) + 1, np.int64)
    inside[spans[:, 0] + 1] += 1
    inside[spans[:, 1]] -= 1
    kept = np.cumsum(inside)[:-1] == 0
    ended = np.array(ends)
    ended[spans[:, 0]] = ended[spans[:, 1] - 1]
    return np.array(starts)[kept].tolist(), ended[kept].tolist()


def _stands_for(escape: re.Match[str]) -> str:
    name = escape[0].lstrip("\\")
    return _STANDS_FOR[name] if len(name) == 1 else chr(int(name[1:], 16))


def _joined(first: Sequence[int], second: Sequence[int]) -> Sequence[int]:
    if not first:
        return second
    if isinstance(first, range) and isinstance(second, range) and first.stop == second.start:
        return range(first.start, second.stop)
    return [*first, *second]


def _canonical(code: int) -> str:
    """Give the character that stands for a code point, nothing when it is left out."""
    character = chr(code)
    if code < _ASCII_END:
        return character
    category = unicodedata.category(character)
    if category in _IGNORED_CATEGORIES or code in _HANGUL_FILLERS:
        return ""
    compatible = unicodedata.normalize("NFKD", _LOOKALIKES.get(character, character))
    base = "".join(each for each in compatible if unicodedata.category(each) not in _IGNORED_CATEGORIES)
    if len(base) == 1 and base.isascii():
        return base
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] in "LN":
        return LETTER if _parts_words(character) else OTHER
    return _MINUS if code == _MINUS_SIGN else _BY_CATEGORY.get(category, OTHER)


def _parts_words(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return False
    return not any(first <= ord(character) < end for first, end in _SCRIPTS_WITHOUT_SPACES)


class _Table:
    """What stands for each code point; made page by page as pages are met."""

    def __init__(self) -> None:
        self._characters = np.full(_CODES, _LEFT_OUT, np.uint16)
        self._is_made = np.zeros(_CODES >> _PAGE_BITS, np.bool_)

    def read(self, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        """Give what stands for each. O(len(codes)), and once in a process 100 µs for each page of 256."""
        pages = codes >> _PAGE_BITS
        if not self._is_made[pages].all():
            for page in np.unique(pages[~self._is_made[pages]]).tolist():
                self._make(page)
        return self._characters[codes]

    def _make(self, page: int) -> None:
        first = page << _PAGE_BITS
        standing = (_canonical(code) for code in range(first, first + (1 << _PAGE_BITS)))
        self._characters[first : first + (1 << _PAGE_BITS)] = [
            ord(each) if each else _LEFT_OUT for each in standing
        ]
        self._is_made[page] = True


_TABLE = _Table()
