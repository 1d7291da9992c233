"""Dates; those beside a word of birth are dates of birth."""

from collections.abc import Iterator

from penstock_guardrail.detectors.context import Context, continues_number
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    Grammar,
    characters,
    either,
    literals,
    optional,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

# As they are in the canonical view, without accents: English, German, French, Spanish, Italian, Portuguese, Dutch.
_MONTHS = """
January February March April May June July August September October November December
Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec
Januar Februar Marz Mai Juni Juli Oktober Dezember
janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
janeiro fevereiro maio junho julho setembro outubro novembro dezembro
januari februari maart mei augustus
"""


def _digits(least: int, most: int) -> Grammar:
    return characters("[0-9]", least, most)


def _numeric(separator: str) -> Grammar:
    part = characters(separator, 1, 1)
    day_first = sequence(_digits(1, 2), part, _digits(1, 2), part, _digits(2, 4))
    return either(day_first, sequence(_digits(4, 4), part, _digits(1, 2), part, _digits(1, 2)))


_MONTH = sequence(literals(*_MONTHS.split(), ignore_case=True), characters("[.]", 0, 1))
_SPACE = characters(" ", 1, 1)
_DAY = sequence(_digits(1, 2), optional(literals("st", "nd", "rd", "th", ".")))
_YEAR = sequence(characters("[ ,]", 1, 2), optional(literals("de ", "of ")), _digits(4, 4))
_TIME = sequence(
    characters("[ T]", 1, 1), _digits(1, 2), characters(":", 1, 1), _digits(2, 2),
    optional(sequence(characters(":", 1, 1), _digits(2, 2))),
)  # fmt: skip
_DATE = sequence(
    BOUNDARY,
    either(
        sequence(either(*(_numeric(each) for each in ("/", "-", "[.]"))), optional(_TIME)),
        sequence(_DAY, _SPACE, optional(literals("of ", "de ")), _MONTH, optional(_YEAR)),
        sequence(_MONTH, _SPACE, _DAY, optional(_YEAR)),
    ),
    BOUNDARY,
)
_BIRTH = (
    r"born\b|birth|date_?of_?birth|dob\b|d\.o\.b|bday|geboren|geb\.|geburt\w*|nee?\b(?: le)?|naissance|nacid[oa]|"
    r"nacimiento|nat[oa] il|nascit[ao]|nascid[oa]|nascimento|geboortedatum|urodzon|fodt|fodd"
)
_NAMED = rf"(?:{'|'.join(_MONTHS.split())})"
_TRIGGER = rf"(?i)[0-9][/.-][0-9]{{1,2}}[/.-][0-9]|[0-9](?:st|nd|rd|th|\.)? (?:of |de )?{_NAMED}\b|\b{_NAMED}\.? [0-9]"
_LAST_MONTH, _LAST_DAY = 12, 31


class DateDetector:
    """Find dates."""

    name = "date"
    version = 2
    trigger = _TRIGGER
    grammar = _DATE

    def __init__(self) -> None:
        self._date = Pattern(words(_DATE))
        self._birth = Context(_BIRTH)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the dates that begin in [start, end)."""
        for first, last in self._date.spans(view, start, end):
            if not continues_number(view, first) and _is_date(view[first:last]):
                if self._birth.before(view, first):
                    yield Candidate(first, last, "DATE_OF_BIRTH", 0.95, "date/2", "a date; context word")
                else:
                    yield Candidate(first, last, "DATE_TIME", 0.6, "date/2", "a date", yields=True)


def _is_date(written: bytes) -> bool:
    parts = written.partition(b" ")[0].partition(b"T")[0].replace(b"/", b"-").replace(b".", b"-").split(b"-")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):  # noqa: PLR2004 - day, month and year
        return any(part.isalpha() for part in written.split())
    smaller, larger = sorted(map(int, parts[1:] if len(parts[0]) > 2 else parts[:2]))  # noqa: PLR2004 - four digits of a year
    return 1 <= smaller <= _LAST_MONTH and larger <= _LAST_DAY and len(parts[2]) != 3  # noqa: PLR2004 - no year has three
