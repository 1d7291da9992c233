"""English as the guard reads it: `lexicon.toml`, by stem. Pure but for reading that file, once."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_CONTRACTED_NEGATION = re.compile(
    r"^(ca|wo|sha|do|does|did|is|are|was|were|has|have|had|would|should|could|must|need|might)n['’`]?t$"
)
_APOSTROPHE = re.compile("['’`]")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word lists by stem. `concepts` leads a stem to the one that stands for all its synonyms."""

    function: frozenset[str]
    negation: frozenset[str]
    quantity: frozenset[str]
    rank: frozenset[str]
    comparison: frozenset[str]
    time: frozenset[str]
    units: frozenset[str]
    currencies: frozenset[str]
    languages: frozenset[str]
    filler: frozenset[str]
    possessors: frozenset[str]
    person: frozenset[str]
    direction: frozenset[str]
    prefixes: frozenset[str]
    numbers: dict[str, str]
    asks: dict[str, str]
    modals: dict[str, str]
    concepts: dict[str, str]
    antonyms: dict[str, frozenset[str]]


def stem(word: str) -> str:
    """Cut the endings of English inflection off a lower-case word, so that forms of one word are equal."""
    known = _irregular().get(word)
    if known is not None:
        return known
    for endings_by_letter in _STEPS:
        for ending, shorter, length_min in endings_by_letter.get(word[-1], ()):
            if word.endswith(ending) and len(word) >= length_min:
                word = word.removesuffix(ending) + shorter
                break
    return word


_Ending = tuple[str, str, int]


def _undoubled(ending: str) -> tuple[_Ending, ...]:
    """Cut an ending off, and half of a consonant that was doubled before it: "stopped"."""
    doubled = [(2 * letter + ending, letter, len(ending) + 4) for letter in "bdfgklmnprt"]
    return (*doubled, (ending, "", len(ending) + 3))


# Step by step, the first ending that fits: what it becomes, and from which length of word.
_ENDINGS = (
    (
        *((ending, ending, 0) for ending in ("ss", "us", "is")),
        ("ies", "y", 5),
        *((ending + "es", ending, 5) for ending in ("ss", "sh", "ch", "x", "z")),
        ("s", "", 4),
    ),
    (("ied", "y", 5), *_undoubled("ing"), *_undoubled("ed")),
    (("ise", "iz", 5), ("is", "iz", 5), ("e", "", 4)),
)


def _by_last_letter(endings: Sequence[_Ending]) -> dict[str, tuple[_Ending, ...]]:
    letters = {ending[-1] for ending, _, _ in endings}
    return {letter: tuple(one for one in endings if one[0].endswith(letter)) for letter in letters}


_STEPS = tuple(map(_by_last_letter, _ENDINGS))  # most words end in a letter that no ending does


def expand(word: str) -> tuple[str, ...]:
    """Write a contraction out: "don't" and "dont" are "do not", "it's" is "it"."""
    negated = _CONTRACTED_NEGATION.match(word) if word.endswith("t") else None
    if negated:
        return ({"ca": "can", "wo": "will", "sha": "shall"}.get(negated[1], negated[1]), "not")
    head = _APOSTROPHE.split(word, maxsplit=1)[0]
    return (head,) if head else ()


@cache
def lexicon() -> Lexicon:
    """Read the lexicon; the same object every time."""
    lists = _file()
    concepts = _concepts(lists["synonyms"])
    words = {
        name: frozenset(
            concepts.get(one, one) if name != "function" else one for one in map(stem, lists[name].split())
        )
        for name in _LISTS
    }
    return Lexicon(
        **words,
        numbers={stem(word): value for word, value in lists["numbers"].items()},
        asks=_asks(lists["asks"], concepts),
        modals=lists["modals"],
        concepts=concepts,
        antonyms=_antonyms(lists["antonyms"], concepts),
    )


_LISTS = (
    "function",
    "negation",
    "quantity",
    "rank",
    "comparison",
    "time",
    "units",
    "currencies",
    "languages",
    "filler",
    "possessors",
    "person",
    "direction",
    "prefixes",
)


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "lexicon.toml").read_text("utf-8"))


@cache
def _irregular() -> dict[str, str]:
    return {form: forms.split()[0] for forms in _file()["irregular"] for form in forms.split()}


def _asks(kinds: dict[str, str], concepts: dict[str, str]) -> dict[str, str]:
    """Write the words as they are compared."""
    return {
        " ".join(concepts.get(one, one) for one in map(stem, words.split())): kind
        for words, kind in kinds.items()
    }


def _concepts(groups: list[str]) -> dict[str, str]:
    concepts: dict[str, str] = {}
    for group in groups:
        stems = [stem(word) for word in group.split()]
        for one in stems:
            concepts.setdefault(one, stems[0])
    return concepts


def _antonyms(pairs: list[str], concepts: dict[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in pairs:
        one, other = (concepts.get(word, word) for word in map(stem, pair.split()))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}
