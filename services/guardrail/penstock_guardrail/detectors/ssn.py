"""United States social security numbers: area, group and serial as the SSA issues them."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import BOUNDARY, Grammar, characters, either, literal, sequence, words
from penstock_guardrail.pattern import Pattern


def _number(separator: str) -> Grammar:
    area, group, serial = (characters("[0-9]", digits, digits) for digits in (3, 2, 4))
    if not separator:
        return sequence(area, group, serial)
    return sequence(area, literal(separator), group, literal(separator), serial)


_NUMBER = sequence(BOUNDARY, either(*(_number(separator) for separator in ("-", " ", ".", ""))), BOUNDARY)
_CONTEXT = r"(?i)\bssns?\b|social[ -]?security|my social\b|\bss ?#|\btin\b|taxpayer"
_CONTEXT_CHARACTERS_MAX = 48


class SsnDetector:
    """Find social security numbers; one without separators, or with dots, only after a word that says what it is."""

    name = "us-ssn"
    version = 2
    trigger = r"[0-9]{3}-?[0-9]{2}-?[0-9]{4}|[0-9]{3} [0-9]{2} [0-9]{4}|[0-9]{3}\.[0-9]{2}\.[0-9]{4}"
    grammar = _NUMBER

    def __init__(self) -> None:
        self._number = Pattern(words(_NUMBER))
        self._context = Pattern(_CONTEXT)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the numbers that begin in [start, end)."""
        for first, last in self._number.spans(view, start, end):
            digits = view[first:last].translate(None, b" -.")
            if _issued(digits):
                confidence, evidence = self._belief(view, first, last)
                if confidence > 0:
                    yield Candidate(first, last, "US_SSN", confidence, "us-ssn/2", evidence)

    def _belief(self, view: bytes, start: int, end: int) -> tuple[float, str]:
        before = view[max(0, start - _CONTEXT_CHARACTERS_MAX) : start]
        if self._context.search(before) is not None:
            return 0.98, "area, group and serial in range; context word"
        if b"-" in view[start:end]:
            return 0.85, "area, group and serial in range"
        if b" " in view[start:end]:
            return 0.4, "area, group and serial in range; no context word"
        return 0.0, ""


def _issued(digits: bytes) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in {b"000", b"666"} and area < b"900" and group != b"00" and serial != b"0000"
