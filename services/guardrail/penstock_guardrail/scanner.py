"""All detectors over one view: one pass tells which of them may have something, then those look."""

from collections.abc import Iterator, Sequence
from heapq import merge

from penstock_guardrail.detectors import Candidate, Detector, NameDetector, recognizer
from penstock_guardrail.live import Automaton, OpenMatches
from penstock_guardrail.pattern import PatternSet


class Scanner:
    """Look for what its detectors know. Safe to share between threads."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        self._names = NameDetector()
        self._triggers = PatternSet(detector.trigger for detector in detectors)
        self._automaton = Automaton([detector.grammar for detector in detectors])
        self.recognizers = (*map(recognizer, detectors), recognizer(self._names))

    def candidates(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give what begins in [start, end): leftmost, then longest, then by the order of the detectors."""
        triggered = sorted(self._triggers.found_in(view)) if start < end else ()
        found = [self._found_by(self._detectors[position], view, start, end) for position in triggered]
        found.append(self._names.find(view, start, end))
        return merge(*found, key=lambda candidate: (candidate.start, -candidate.end))

    def open_matches(self) -> OpenMatches:
        """Begin to follow a text as it comes."""
        return OpenMatches(self._automaton)

    def open_names_from(self, view: bytes, start: int) -> int:
        """Give where the first name begins, at `start` or after, that is not decided yet."""
        return self._names.open_from(view, start)

    def _found_by(self, detector: Detector, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        for candidate in detector.find(view, start, end):
            if start <= candidate.start < end:
                yield candidate
