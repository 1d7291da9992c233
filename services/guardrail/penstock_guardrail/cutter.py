"""Cut a text, whole or as it comes, into what is clear and what was found: the same for every way of splitting it.

A piece leaves once nothing that may follow can change it. Candidates are taken from left to right, the longest
first; one that overlaps those before it loses what they cover, so all that any detector matched is covered. Candidates
that yield (a web address, a name) give way to what else is found inside them, so they wait until all of that is known.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from penstock_guardrail.canonical import EMPTY, View, view_of, whole_escapes
from penstock_guardrail.detectors import LOOKBEHIND_CHARACTERS_MAX, MATCH_CHARACTERS_MAX, Candidate
from penstock_guardrail.scanner import Scanner

CANDIDATES_MAX = 16_384
# The type of what is found next when that many were found: the text is not searched on.
TOO_MANY_FINDINGS = "TOO_MANY_FINDINGS"
# In a longer text there is mostly something to look at, so one pass more would be lost.
_CLEAR_CHARACTERS_MAX = 4096


class Piece(NamedTuple):
    """Part of a text, clear when `found` is None. `start` counts characters of the original text."""

    start: int
    text: str
    found: Candidate | None = None

    @property
    def end(self) -> int:
        """Where it ends in the original text, exclusive."""
        return self.start + len(self.text)


def is_clear(scanner: Scanner, text: str) -> bool:
    """Tell a whole text that would be one clear piece, by one pass: most short ones are. Long ones are not asked."""
    return len(text) <= _CLEAR_CHARACTERS_MAX and not scanner.may_find(view_of(text).characters)


# What of a candidate is not covered by others, from where to where in the view.
Part = tuple[int, int, Candidate]


class Cutter:
    """Cut one text. Positions count characters of its view from the beginning of the text, unless said otherwise."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._open_matches = scanner.open_matches()
        # The end of the view, as much as may be looked at again, and where that begins.
        self._view = EMPTY
        self._view_start = 0
        # What begins before `decided` is known. What stands before `covered` was given as found.
        self._decided = 0
        self._covered = 0
        self._candidates = 0
        # Of the original text: what has not left, where it begins, and how much of it is in the view.
        self._held = ""
        self._held_start = 0
        self._viewed = 0

    @property
    def held_characters(self) -> int:
        """Count the characters that have come and not left."""
        return len(self._held)

    def push(self, text: str) -> list[Piece]:
        """Take what follows and give what may leave."""
        open_from = self._open_matches.read(self._append(text, last=False).characters)
        decided = self._decided - self._view_start
        open_from = min(
            open_from, self._view_start + self._scanner.open_names_from(self._view.characters, decided)
        )
        return self._cut(max(open_from, self._view_end - MATCH_CHARACTERS_MAX))

    def finish(self, text: str = "") -> list[Piece]:
        """Take the last of the text, or all of it, and give all that is left."""
        self._append(text, last=True)
        return self._cut(self._view_end)

    @property
    def _view_end(self) -> int:
        return self._view_start + len(self._view.characters)

    def _append(self, text: str, *, last: bool) -> View:
        """Add to the view what has come, but for an escape that is not whole."""
        self._held += text
        unseen = self._held[self._viewed - self._held_start :]
        seen = unseen if last else unseen[: whole_escapes(unseen)]
        view = view_of(seen, self._viewed)
        self._view = self._view.followed_by(view)
        self._viewed += len(seen)
        return view

    def _cut(self, decided: int) -> list[Piece]:
        pieces: list[Piece] = []
        base, starts, ends = self._view_start, self._view.starts, self._view.ends
        held, origin = self._held, self._held_start
        left = origin
        for start, end, candidate in self._resolved(self._settled(decided)):
            first, last = starts[start - base], ends[end - 1 - base]
            if left < first:
                pieces.append(Piece(left, held[left - origin : first - origin]))
            self._candidates += 1
            found = candidate if self._candidates <= CANDIDATES_MAX else _too_many(candidate)
            pieces.append(Piece(first, held[first - origin : last - origin], found))
            left = last
            if self._candidates > CANDIDATES_MAX:
                break
        until = self._offset(max(self._decided, self._covered))
        if left < until:
            pieces.append(Piece(left, held[left - origin : until - origin]))
        self._forget(until)
        return pieces

    def _settled(self, decided: int) -> list[Candidate]:
        """Give the new candidates; what yields waits, with all after its start, until what it may yield to is known."""
        base = self._view_start
        found = self._scanner.candidates(self._view.characters, self._decided - base, decided - base)
        for candidate in reversed(found):
            if candidate.yields and base + candidate.end > decided:
                decided = base + candidate.start
        self._decided = decided
        return [candidate for candidate in found if base + candidate.start < decided]

    def _resolved(self, candidates: Sequence[Candidate]) -> list[Part]:
        """Give parts that do not overlap, in order."""
        parts: list[Part] = []
        base = self._view_start
        for tangle in _tangles(candidates, self._covered - base):
            first = tangle[0]
            if len(tangle) > 1 or base + first.start < self._covered:
                parts += self._untangled(tangle)
            elif first.start < first.end:
                self._covered = base + first.end
                parts.append((base + first.start, self._covered, first))
        return parts

    def _untangled(self, tangle: Sequence[Candidate]) -> list[Part]:
        """Give parts of candidates that overlap: first those of candidates that yield to none, then the others'."""
        base = self._view_start
        yielding_from = self._covered
        parts: list[Part] = []
        for candidate in tangle:
            start, end = max(base + candidate.start, self._covered), base + candidate.end
            if not candidate.yields and start < end:
                self._covered = end
                parts.append((start, end, candidate))
        taken = parts.copy()
        for candidate in tangle:
            start, end = max(base + candidate.start, yielding_from), base + candidate.end
            if candidate.yields and start < end:
                yielding_from = end
                parts += [(*gap, candidate) for gap in _gaps(start, end, taken)]
        self._covered = max(self._covered, yielding_from)
        return sorted(parts, key=lambda part: part[0])

    def _offset(self, position: int) -> int:
        """Give where a character of the view stands in the original text."""
        if position == self._view_end:
            return self._viewed
        return self._view.starts[position - self._view_start]

    def _forget(self, until: int) -> None:
        self._held = self._held[until - self._held_start :]
        self._held_start = until
        kept = max(self._view_start, self._decided - LOOKBEHIND_CHARACTERS_MAX)
        self._view = self._view.since(kept - self._view_start)
        self._view_start = kept


def _too_many(candidate: Candidate) -> Candidate:
    return candidate._replace(
        type=TOO_MANY_FINDINGS, recognizer="limit/1", evidence="not searched to the end"
    )


def _tangles(candidates: Sequence[Candidate], covered: int) -> Iterator[list[Candidate]]:
    """Part candidates into those that overlap one another; mostly each is alone."""
    tangle: list[Candidate] = []
    for candidate in candidates:
        if tangle and candidate.start >= covered:
            yield tangle
            tangle = []
        tangle.append(candidate)
        covered = max(covered, candidate.end)
    if tangle:
        yield tangle


def _gaps(start: int, end: int, taken: Sequence[Part]) -> Iterator[tuple[int, int]]:
    """Give what of a stretch is not taken."""
    for first, last, _ in taken[bisect_right(taken, start, key=lambda part: part[1]) :]:
        if first >= end:
            break
        if start < first:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end
