"""Health data: diagnoses by their ICD-10 code where something says so, and medicines by name and dose."""

from collections.abc import Iterator

from penstock_guardrail.detectors.context import Context
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    either,
    literals,
    optional,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

_CODE = sequence(
    BOUNDARY,
    characters("[A-TV-Z]", 1, 1),
    characters("[0-9]", 1, 1),
    characters("[0-9AB]", 1, 1),
    optional(sequence(characters("[.]", 1, 1), characters("[0-9A-Z]", 1, 4))),
    BOUNDARY,
)
# Stems of the international nonproprietary names (WHO), and medicines that have none of them.
_STEMS = (
    *(
        "azole",
        "caine",
        "cillin",
        "coxib",
        "cycline",
        "dipine",
        "dronate",
        "floxacin",
        "formin",
        "gliptin",
        "gliflozin",
    ),
    *(
        "glutide",
        "lukast",
        "mab",
        "mycin",
        "nib",
        "olol",
        "oxetine",
        "pam",
        "parin",
        "prazole",
        "pril",
        "profen",
    ),
    *(
        "rolimus",
        "sartan",
        "semide",
        "setron",
        "sone",
        "statin",
        "thiazide",
        "tidine",
        "triptan",
        "triptyline",
        "vir",
    ),
    *(
        "xaban",
        "zepam",
        "zine",
        "zolam",
        "olone",
        "codone",
        "barbital",
        "gabalin",
        "pentin",
        "azepine",
        "apine",
    ),
)
_NAMES = (
    *(
        "insulin",
        "warfarin",
        "aspirin",
        "paracetamol",
        "acetaminophen",
        "morphine",
        "fentanyl",
        "methadone",
        "lithium",
    ),
    *(
        "digoxin",
        "levothyroxine",
        "sertraline",
        "citalopram",
        "escitalopram",
        "tramadol",
        "clopidogrel",
        "methotrexate",
    ),
    *(
        "albuterol",
        "salbutamol",
        "naloxone",
        "buprenorphine",
        "oxycontin",
        "xanax",
        "prozac",
        "zoloft",
        "adderall",
    ),
)
_UNITS = ("mg", "mcg", "ug", "ml", "g", "iu", "units", "tablets", "capsules")
_DOSE = sequence(
    characters("[0-9]", 1, 5), optional(sequence(characters("[.,]", 1, 1), characters("[0-9]", 1, 3))),
    characters(" ", 0, 1), literals(*_UNITS, ignore_case=True),
)  # fmt: skip
_NAME = either(
    *(sequence(characters("[A-Za-z]", 2, 16), literals(stem, ignore_case=True)) for stem in _STEMS),
    literals(*_NAMES, ignore_case=True),
)
_MEDICINE = sequence(BOUNDARY, _NAME, characters("[ ,]", 1, 2), _DOSE, BOUNDARY)
_DIAGNOSIS = r"icd\W?(?:10|9)?|diagnos\w*|dx\b|diagnosi|condition code|diagnostic"


class HealthDetector:
    """Find codes of diagnoses and doses of medicines."""

    name = "health"
    version = 1
    trigger = (
        r"\b[A-TV-Z][0-9][0-9AB]\b|"
        rf"(?i)[a-z][ ,]{{1,2}}[0-9.,]{{1,9}} ?(?:{'|'.join(_UNITS)})\b"
    )
    grammar = sequence(either(_CODE, _MEDICINE))

    def __init__(self) -> None:
        self._code = Pattern(words(_CODE))
        self._medicine = Pattern(words(_MEDICINE))
        self._diagnosis = Context(_DIAGNOSIS)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the codes and doses that begin in [start, end)."""
        found = [*self._codes(view, start, end), *self._medicines(view, start, end)]
        yield from sorted(found, key=lambda candidate: candidate.start)

    def _codes(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        for first, last in self._code.spans(view, start, end):
            if self._diagnosis.before(view, first):
                yield Candidate(first, last, "MEDICAL_CODE", 0.85, "health/1", "form of ICD-10; context word")

    def _medicines(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        for first, last in self._medicine.spans(view, start, end):
            yield Candidate(first, last, "MEDICATION", 0.8, "health/1", "name of a medicine and a dose")
