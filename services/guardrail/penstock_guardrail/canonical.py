"""The canonical view of a text: one byte a character, with the disguises taken off and the way back to the original.

Detectors see this view only. It is made character by character, so it is the same however the text was split:
compatibility forms (full-width and mathematical digits and letters) become ASCII (NFKC, UAX #15), decimal
digits of any script become 0-9, dashes and spaces become `-` and ` `, and what a reader does not see
(zero-width, bidirectional and tag characters, combining marks) is left out.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# A letter or number outside ASCII, of a script that parts words by spaces: it belongs to the word it stands in.
LETTER = "\xaa"
# Any other character outside ASCII.
OTHER = "\xff"

_ASCII_END = 0x80
_TABLE_ENTRIES_MAX = 65_536
_IGNORED_CATEGORIES = frozenset({"Cf", "Mn", "Me"})
_HANGUL_FILLERS = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0})
_MINUS_SIGN = 0x2212
_MINUS = "-"
_BY_CATEGORY = {"Pd": _MINUS, "Zs": " ", "Zl": "\n", "Zp": "\n"}
# Thai and Lao, Myanmar, Khmer: no spaces between words, as in East Asia.
_SCRIPTS_WITHOUT_SPACES = ((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800))


@dataclass(frozen=True, slots=True)
class View:
    """A canonical text and where each of its characters stands in the original."""

    characters: bytes
    offsets: Sequence[int]

    def followed_by(self, other: "View") -> "View":
        """Append the view of the text that follows."""
        return View(self.characters + other.characters, _joined(self.offsets, other.offsets))

    def since(self, index: int) -> "View":
        """Forget everything before an index."""
        return View(self.characters[index:], self.offsets[index:])


EMPTY = View(b"", range(0))


def view_of(text: str, offset: int = 0) -> View:
    """Make the view of a text, or of the part of one that begins at an offset. O(len(text))."""
    if text.isascii():
        return View(text.encode(), range(offset, offset + len(text)))
    characters = text.translate(_TABLE)
    offsets: Sequence[int] = range(offset, offset + len(text))
    if len(characters) < len(text):
        offsets = [
            at for at, character in zip(offsets, text, strict=True) if _TABLE[ord(character)] is not None
        ]
    return View(characters.encode("latin-1"), offsets)


def _joined(first: Sequence[int], second: Sequence[int]) -> Sequence[int]:
    if not first:
        return second
    if isinstance(first, range) and isinstance(second, range) and first.stop == second.start:
        return range(first.start, second.stop)
    return [*first, *second]


def _canonical(code: int) -> str | None:
    """Give the character that stands for a code point, None when it is left out."""
    character = chr(code)
    category = unicodedata.category(character)
    if code >= _ASCII_END and (category in _IGNORED_CATEGORIES or code in _HANGUL_FILLERS):
        return None
    compatible = unicodedata.normalize("NFKC", character)
    if len(compatible) == 1 and compatible.isascii():
        return compatible
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] in "LN":
        return LETTER if _parts_words(character) else OTHER
    return _MINUS if code == _MINUS_SIGN else _BY_CATEGORY.get(category, OTHER)


def _parts_words(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return False
    return not any(first <= ord(character) < end for first, end in _SCRIPTS_WITHOUT_SPACES)


class _Table(dict[int, str | None]):
    """Memoise `_canonical` for the code points in use, as many as there is room for."""

    def __missing__(self, code: int) -> str | None:
        value = _canonical(code)
        if len(self) < _TABLE_ENTRIES_MAX:
            self[code] = value
        return value


_TABLE = _Table()
