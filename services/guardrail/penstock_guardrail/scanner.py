"""All detectors over one view: one pass tells which of them may have something, then those look."""

from collections.abc import Sequence

from penstock_guardrail.detectors import Candidate, Detector, NameDetector, recognizer
from penstock_guardrail.live import Automaton, OpenMatches
from penstock_guardrail.pattern import PatternSet


class Scanner:
    """Look for what its detectors know, and for names if it has a detector of them. Safe to share between threads."""

    def __init__(self, detectors: Sequence[Detector], names: NameDetector | None) -> None:
        self._detectors = tuple(detectors)
        self._names = names
        self._triggers = PatternSet(detector.trigger for detector in detectors)
        self._automaton = Automaton([detector.grammar for detector in detectors])
        self.recognizers = tuple(map(recognizer, detectors))
        if names is not None:
            self.recognizers += (recognizer(names),)

    def may_find(self, view: bytes) -> bool:
        """Tell whether any of its detectors may have something in a whole view. One pass."""
        return self._names is not None or bool(self._triggers.found_in(view))

    def candidates(self, view: bytes, start: int, end: int) -> list[Candidate]:
        """Give what begins in [start, end): leftmost, then longest, then by the order of the detectors."""
        if start >= end:
            return []
        found: list[Candidate] = []
        for position in sorted(self._triggers.found_in(view)):
            found += self._detectors[position].find(view, start, end)
        if self._names is not None:
            found += self._names.find(view, start, end)
        found = [candidate for candidate in found if start <= candidate.start < end]
        found.sort(key=_place)
        return found

    def open_matches(self) -> OpenMatches:
        """Begin to follow a text as it comes."""
        return OpenMatches(self._automaton)

    def open_names_from(self, view: bytes, start: int) -> int:
        """Give where the first name begins, at `start` or after, that is not decided yet; the end without one."""
        return len(view) if self._names is None else self._names.open_from(view, start)


def _place(candidate: Candidate) -> tuple[int, int]:
    return candidate.start, -candidate.end
