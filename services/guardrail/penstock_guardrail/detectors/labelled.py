"""Numbers that only the words before them tell from others: licences, passports, records, accounts, bank codes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    literals,
    optional,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

_LEAD_CHARACTERS_MAX = 96


@dataclass(frozen=True, slots=True)
class Label:
    """What a number is called, and what it looks like."""

    type: str
    names: tuple[str, ...]
    value: re.Pattern[bytes]


def _label(kind: str, value: str, *names: str) -> Label:
    return Label(kind, names, re.compile(value.encode()))


_LABELS = (
    _label(
        "US_DRIVER_LICENSE", r"(?=.*\d.*\d.*\d.*\d)[0-9A-Za-z*-]{5,20}",
        "driver's license", "drivers license", "driver license", "driver's licence", "driving licence",
        "driving license", "drivers licence", "fuhrerschein", "permis de conduire", "dl",
    ),
    _label("PASSPORT", r"(?=.*\d.*\d.*\d.*\d)[0-9A-Za-z]{6,12}", "passport", "reisepass", "passeport", "pasaporte"),
    _label(
        "MEDICAL_RECORD_NUMBER", r"(?=.*\d.*\d.*\d)[0-9A-Za-z-]{4,16}",
        "mrn", "medical record", "patient", "chart", "health plan", "health insurance", "medicare", "nhs",
        "member", "beneficiary", "patienten",
    ),
    _label(
        "BANK_ACCOUNT", r"(?=.*\d.*\d.*\d.*\d.*\d.*\d)[0-9-]{6,20}",
        "bank account", "account", "acct", "routing", "aba", "sort code", "kontonummer", "konto",
    ),
    _label(
        "BIC",
        r"[A-Za-z]{4}(?:A[DEFGILMORTUWXZ]|B[ABDEGHMNRY]|C[AHLNORYZ]|D[EKZ]|E[CEGS]|F[IR]|G[BEILRT]|H[KRU]|I[DELNST]|"
        r"J[OP]|K[RWZ]|L[BITUV]|M[ACDEKTXY]|N[GLOZ]|OM|P[AEHKLTY]|QA|R[OSU]|S[AEGIKMNV]|T[HNRW]|U[ASYZ]|V[AEGN]|XK|ZA|"
        r"a[det]|b[egr]|c[hyz]|d[ek]|es|f[ir]|g[br]|hu|i[et]|l[tuv]|n[lo]|p[lt]|ro|s[eik]|us)[0-9A-Za-z]{2}(?:[0-9A-Za-z]{3})?",
        "bic", "swift",
    ),
    _label("TAX_ID", r"(?=.*\d.*\d.*\d.*\d.*\d.*\d)[0-9A-Za-z-]{8,14}", "tax", "ein", "itin", "vat", "steuernummer"),
    _label("VEHICLE_ID", r"[0-9A-HJ-NPR-Za-hj-npr-z]{17}", "vin", "chassis", "vehicle identification"),
)  # fmt: skip
_NAMES = tuple(name for label in _LABELS for name in label.names)
_KIND_OF_NUMBER = literals(
    *(
        "number",
        "numbers",
        "no",
        "nr",
        "num",
        "id",
        "code",
        "identification",
        "#",
        "nummer",
        "card",
        "account",
    ),
    *("identifier", "bic", "swift", "identification number", "identification no", "id number", "card number"),
    ignore_case=True,
)
_LEAD = sequence(
    BOUNDARY,
    literals(*_NAMES, ignore_case=True),
    repeated(sequence(characters("[ /-]", 0, 1), _KIND_OF_NUMBER), 0, 2),
    characters("[ \t.:#=(/-]", 1, 4),
    optional(sequence(literals("is", "was", "ist", "est", "es", ignore_case=True), characters("[ :]", 1, 2))),
)
_VALUE = characters("[0-9A-Za-z*-]", 4, 24)


class LabelledDetector:
    """Find numbers by what they are called."""

    name = "labelled"
    version = 1
    trigger = rf"(?i)\b(?:{'|'.join(_NAMES)})"
    grammar = sequence(_LEAD, _VALUE, BOUNDARY)

    def __init__(self) -> None:
        self._lead = Pattern(words(_LEAD))
        self._value = Pattern(words(sequence(_VALUE, BOUNDARY)))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the numbers that begin in [start, end)."""
        for lead, first in self._lead.spans(view, max(0, start - _LEAD_CHARACTERS_MAX), end):
            found = self._value.match(view, first)
            if found is not None:
                label = _label_of(view[lead:first].lower(), view[first : found[1]])
                if label is not None:
                    yield Candidate(
                        first, found[1], label.type, 0.85, "labelled/1", "named by the words before it"
                    )


def _label_of(lead: bytes, value: bytes) -> Label | None:
    for label in _LABELS:
        if lead.startswith(tuple(name.encode() for name in label.names)) and label.value.fullmatch(value):
            return label
    return None
