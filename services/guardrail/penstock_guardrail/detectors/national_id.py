"""National identity, tax and insurance numbers of many countries, by form, check digits and the words beside them.

Check digits are python-stdnum's. A form that letters or dates make unlikely elsewhere is believed alone; plain digits
need a word of their country beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from penstock_guardrail.detectors.context import Context, continues_number
from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import BOUNDARY, either, sequence, words
from penstock_guardrail.pattern import Pattern, PatternSet


@dataclass(frozen=True, slots=True)
class Kind:
    """One country's number.

    Args:
        module: python-stdnum's, which checks it.
        form: a RE2 pattern of it, separators included.
        names: what it is called there.
        alone: whether form and check digits are enough.
    """

    module: str
    form: str
    names: str
    alone: bool = False


_KINDS = (
    Kind("it.codicefiscale", r"[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z]", "", alone=True),
    Kind("mx.curp", r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]", "", alone=True),
    Kind("es.dni", r"[0-9]{8}-?[A-Za-z]", "", alone=True),
    Kind("es.nie", r"[XYZxyz]-?[0-9]{7}-?[A-Za-z]", "", alone=True),
    Kind("fi.hetu", r"[0-9]{6}[-+A][0-9]{3}[0-9A-Za-z]", "", alone=True),
    Kind("se.personnummer", r"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}", "", alone=True),
    Kind("fr.nir", r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9AB]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", "", alone=True),
    Kind("cn.ric", r"[1-9][0-9]{16}[0-9Xx]", "", alone=True),
    Kind("br.cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", "", alone=True),
    Kind("ch.ssn", r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", "", alone=True),
    Kind("be.nn", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", "", alone=True),
    Kind("cl.rut", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]", "", alone=True),
    Kind("in_.pan", r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", "", alone=True),
    Kind("gb.nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", r"nhs|national health"),
    Kind("in_.aadhaar", r"[2-9][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}", r"aadhaar|aadhar|uidai"),
    Kind("br.cpf", r"[0-9]{11}", r"cpf"),
    Kind("ca.sin", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}", r"sin\b|social insurance|assurance sociale"),
    Kind("au.tfn", r"[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}", r"tfn|tax file"),
    Kind(
        "de.idnr",
        r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
        r"steuer\W?id\w*|idnr|identifikationsnummer|tax id",
    ),
    Kind("nl.bsn", r"[0-9]{4}\.?[0-9]{2}\.?[0-9]{3}", r"bsn|burgerservice\w*|sofi"),
    Kind("pl.pesel", r"[0-9]{11}", r"pesel"),
    Kind("tr.tckimlik", r"[0-9]{11}", r"t\.?c\.?\b|kimlik"),
    Kind("za.idnr", r"[0-9]{6} ?[0-9]{4} ?[0-9]{3}", r"id\b|identity|said"),
    Kind("dk.cpr", r"[0-9]{6}-?[0-9]{4}", r"cpr|personnummer"),
    Kind("no.fodselsnummer", r"[0-9]{6} ?[0-9]{5}", r"fodselsnummer|personnummer|fnr"),
    Kind("se.personnummer", r"(?:[0-9]{2})?[0-9]{10}", r"personnummer|pnr"),
    Kind("be.nn", r"[0-9]{11}", r"national number|rijksregister\w*|registre national|nrn|insz|niss"),
    Kind("pt.nif", r"[0-9]{9}", r"nif\b|contribuinte"),
    Kind("ro.cnp", r"[1-9][0-9]{12}", r"cnp"),
    Kind("cz.rc", r"[0-9]{6}/?[0-9]{3,4}", r"rodn\w+|r\.?c\.?\b"),
    Kind("kr.rrn", r"[0-9]{6}-?[1-8][0-9]{6}", r"rrn|resident registration|jumin"),
    Kind("ie.pps", r"[0-9]{7}[A-Wa-w][A-IWa-iw]?", r"pps\w*"),
    Kind("gb.utr", r"[0-9]{10}", r"utr\b|unique taxpayer"),
    Kind("us.itin", r"9[0-9]{2}-?[0-9]{2}-?[0-9]{4}", r"itin"),
    Kind("ar.dni", r"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}", r"dni\b|documento"),
    Kind("gr.amka", r"[0-9]{11}", r"amka"),
    Kind("bg.egn", r"[0-9]{10}", r"egn"),
    Kind("hr.oib", r"[0-9]{11}", r"oib"),
    Kind("ee.ik", r"[1-6][0-9]{10}", r"isikukood"),
    Kind("lt.asmens", r"[1-6][0-9]{10}", r"asmens"),
    Kind("il.idnr", r"[0-9]{9}", r"teudat|israeli id"),
    Kind("my.nric", r"[0-9]{6}-?[0-9]{2}-?[0-9]{4}", r"nric|mykad"),
    Kind("co.nit", r"[0-9]{9}-?[0-9]", r"nit\b|cedula"),
)


_NUMBER = sequence(BOUNDARY, either(*(grammar_of(kind.form) for kind in _KINDS)), BOUNDARY)


class NationalIdDetector:
    """Find numbers that states give to persons."""

    name = "national-id"
    version = 1
    trigger = r"[0-9][ ./+-]?[0-9A-Za-z]?[0-9][ ./+-]?[0-9](?:[ ./+-]?[0-9A-Za-z]){3}"
    grammar = _NUMBER

    def __init__(self) -> None:
        self._contexts = [Context(kind.names or "$^") for kind in _KINDS]
        self._forms = PatternSet(rf"^(?:{kind.form})$" for kind in _KINDS)
        self._any = Pattern(words(_NUMBER))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the numbers that begin in [start, end)."""
        for first, last in self._any.spans(view, start, end):
            if not continues_number(view, first):
                kind = self._kind(view, first, last)
                if kind is not None:
                    confidence = 0.9 if kind.alone else 0.95
                    evidence = f"form and check digits of {kind.module}" + (
                        "" if kind.alone else "; context word"
                    )
                    yield Candidate(first, last, "NATIONAL_ID", confidence, "national-id/1", evidence)

    def _kind(self, view: bytes, start: int, end: int) -> Kind | None:
        written = view[start:end]
        for position in sorted(self._forms.found_in(written)):
            kind = _KINDS[position]
            if (kind.alone or self._contexts[position].before(view, start)) and _checker(
                kind.module
            ).is_valid(written.decode("latin-1")):
                return kind
        return None


@cache
def _checker(module: str) -> Any:
    """Give the check of one country: loaded when a number of its form is met."""
    return import_module(f"stdnum.{module}")
