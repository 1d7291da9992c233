"""Find what an organization's own pattern matches.

A pattern is read as a grammar (`expression.py`), so that a stream knows what may still become a match; whatever has no
grammar (look-around, back-references, captures, unbounded matches) is refused when the policy is written.
"""

from collections.abc import Iterator

from penstock_guardrail.canonical import view_of
from penstock_guardrail.custom.bounds import MATCH_CHARACTERS_MAX, SIZE_MAX, lengths, size
from penstock_guardrail.detectors import Candidate
from penstock_guardrail.detectors.context import Context
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import Grammar, words
from penstock_guardrail.pattern import Pattern, escaped
from penstock_guardrail.policy import Recognizer

_WITHOUT_CONTEXT = 0.5


class CustomDetector:
    """Find what one recognizer of a policy says. Where it names context words, a match without one is believed half."""

    version = 1

    def __init__(self, recognizer: Recognizer) -> None:
        self.name = f"custom-{recognizer.name}"
        self.grammar = bounded_grammar(recognizer.pattern, ignore_case=recognizer.ignore_case)
        self.trigger = words(self.grammar)
        self._pattern = Pattern(self.trigger)
        self._recognizer = recognizer
        self._context = Context("|".join(map(_escaped, recognizer.context))) if recognizer.context else None

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the matches that begin in [start, end)."""
        for first, last in self._pattern.spans(view, start, end):
            confidence, evidence = self._belief(view, first)
            yield Candidate(first, last, self._recognizer.type, confidence, f"{self.name}/1", evidence)

    def _belief(self, view: bytes, start: int) -> tuple[float, str]:
        confidence = self._recognizer.confidence
        if self._context is None:
            return confidence, "pattern of the organization"
        if self._context.before(view, start):
            return confidence, "pattern of the organization; context word"
        return confidence * _WITHOUT_CONTEXT, "pattern of the organization; no context word"


def bounded_grammar(pattern: str, *, ignore_case: bool) -> Grammar:
    """Read the pattern of a recognizer.

    Raises:
        ValueError: it cannot be read as a grammar, matches nothing, or matches or weighs too much.
    """
    grammar = grammar_of(pattern, ignore_case=ignore_case)
    least, most = lengths(grammar)
    if least == 0:
        raise ValueError(f"{pattern!r} matches nothing at all")
    if most is None or most > MATCH_CHARACTERS_MAX:
        raise ValueError(
            f"{pattern!r} may match more than {MATCH_CHARACTERS_MAX} characters: bound what it repeats"
        )
    if size(grammar) > SIZE_MAX:
        raise ValueError(f"{pattern!r} has more than {SIZE_MAX} parts once its repetitions are written out")
    return grammar


def _escaped(word: str) -> str:
    return escaped(view_of(word).characters.decode("latin-1"))
