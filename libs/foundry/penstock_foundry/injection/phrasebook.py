"""Texts from grammars: families of templates, and slots that fill them."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

_SLOT = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_DEPTH_MAX = 8
_UPPER_SHARE = 0.04
_LOWER_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text and the template that it was made from."""

    text: str
    template: str


class Phrasebook:
    """One file of families and slots."""

    def __init__(self, name: str) -> None:
        content: Any = yaml.safe_load(files(__package__).joinpath("phrases", f"{name}.yaml").read_text())
        self._families: dict[str, list[str]] = content["families"]
        self._slots: dict[str, list[str]] = content["slots"]

    def phrases(self, rng: random.Random, each: int) -> Iterator[Phrase]:
        """Give so many texts of each template, in any case a person may write them in."""
        for family, templates in self._families.items():
            for number, template in enumerate(templates):
                for _ in range(each):
                    yield Phrase(_cased(self._filled(template, rng), rng), f"{family}/{number}")

    def _filled(self, template: str, rng: random.Random, depth: int = 0) -> str:
        assert depth < _DEPTH_MAX, "slots that hold themselves"

        def fill(found: re.Match[str]) -> str:
            if found[1] is None:
                return found[0][0]
            return self._filled(rng.choice(self._slots[found[1]]), rng, depth + 1)

        return _SLOT.sub(fill, template).strip()


def _cased(text: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < _UPPER_SHARE:
        return text.upper()
    if draw < _LOWER_SHARE:
        return text.lower()
    return text[:1].upper() + text[1:]
