"""Find phrases of harm: threats, hate, harassment, self-harm, sexual violence."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import yaml

from penstock_guardrail.detectors import Candidate
from penstock_guardrail.detectors.context import Context
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import BOUNDARY, Grammar, either, sequence, words
from penstock_guardrail.pattern import Pattern

_BELIEVED, _SPOKEN_OF = 0.9, 0.3
_LISTS = ("english", "german")


class ToxicityDetector:
    """Find the phrases of all lists. The type is `TOXICITY_` and the category."""

    name = "toxicity"
    version = 1

    def __init__(self) -> None:
        lists = [_read(name) for name in _LISTS]
        by_category: dict[str, list[str]] = {}
        for content in lists:
            for category, phrases in content["categories"].items():
                by_category.setdefault(category, []).extend(phrases)
        grammars = {category: _grammar(phrases) for category, phrases in by_category.items()}
        self.grammar = either(*grammars.values())
        self.trigger = words(self.grammar)
        self._categories = {f"TOXICITY_{name}": Pattern(words(each)) for name, each in grammars.items()}
        self._any = Pattern(self.trigger)
        self._spoken_of = Context("|".join(word for content in lists for word in content["unless"]), 96)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the phrases that begin in [start, end)."""
        for first, last in self._any.spans(view, start, end):
            confidence, evidence = self._belief(view, first)
            yield Candidate(
                first, last, self._category(view, first, last), confidence, "toxicity/1", evidence
            )

    def _category(self, view: bytes, start: int, end: int) -> str:
        found = (
            name for name, pattern in self._categories.items() if pattern.match(view, start) == (start, end)
        )
        return next(found)

    def _belief(self, view: bytes, start: int) -> tuple[float, str]:
        if self._spoken_of.before(view, start):
            return _SPOKEN_OF, "phrase of a list; quoted, told or asked about"
        return _BELIEVED, "phrase of a list"


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (resources.files(__package__) / "lists" / f"{name}.yaml").read_text()
    )
    return content


def _grammar(phrases: list[str]) -> Grammar:
    return sequence(BOUNDARY, either(*(grammar_of(phrase, ignore_case=True) for phrase in phrases)), BOUNDARY)
