"""RE2 over canonical views: linear time, leftmost-longest. The only module that imports it."""

from collections.abc import Iterable, Iterator
from functools import cache

import re2
from re2._re2 import RE2

# Room for the automata of one pattern; RE2 rebuilds them from nothing when it is used up, slower but right.
_AUTOMATON_BYTES_MAX = 32 << 20

Span = tuple[int, int]


_ANYWHERE, _HERE = RE2.Anchor.UNANCHORED, RE2.Anchor.ANCHOR_START
_NOWHERE = (-1, -1)


class Pattern:
    """A compiled pattern. Safe to share between threads.

    Asks the engine itself: the objects that `re2.search` wraps around a match cost twice as much as finding it.
    """

    def __init__(self, words: str) -> None:
        self._compiled = RE2(words.encode("latin-1"), _options())
        if not self._compiled.ok():
            raise ValueError(f"{words!r}: {self._compiled.error().decode()}")

    def match(self, view: bytes, start: int = 0, end: int | None = None) -> Span | None:
        """Give the longest word that begins at `start` and ends by `end`; boundaries are judged on the whole view."""
        last = len(view) if end is None else min(end, len(view))
        span: Span = self._compiled.Match(_HERE, view, start, last)[0]
        return None if span == _NOWHERE else span

    def search(self, view: bytes, start: int = 0) -> Span | None:
        """Give the leftmost word that begins at `start` or after, the longest of those that begin there."""
        span: Span = self._compiled.Match(_ANYWHERE, view, start, len(view))[0]
        return None if span == _NOWHERE else span

    def spans(self, view: bytes, start: int, end: int) -> Iterator[Span]:
        """Give the longest word at every place in [start, end) where one begins, overlapping ones too.

        What is found at a place depends on no other place, so a text may be searched in parts.
        """
        found = self.search(view, start)
        while found is not None and found[0] < end:
            yield found
            found = self.search(view, found[0] + 1)


class PatternSet:
    """Several patterns looked for in one pass."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = re2.Set.SearchSet(_options())
        for words in patterns:
            self._compiled.Add(words.encode("latin-1"))
        self._compiled.Compile()

    def found_in(self, view: bytes) -> list[int]:
        """Give the positions of the patterns that have a word in the view."""
        return self._compiled.Match(view) or []


@cache
def members(of: str) -> frozenset[int]:
    """Give the characters of a class, written as RE2 does."""
    one = re2.compile(of.encode("latin-1"), _options())
    return frozenset(byte for byte in range(256) if one.fullmatch(bytes([byte])) is not None)


def escaped(character: str) -> str:
    """Write a character so that it stands for itself."""
    return str(re2.escape(character))


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.longest_match = True
    options.log_errors = False
    options.max_mem = _AUTOMATON_BYTES_MAX
    return options
