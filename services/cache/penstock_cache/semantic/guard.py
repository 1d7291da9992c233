"""The guard: two questions that look the same must also ask the same. Pure.

Each rule names one way in which near questions differ in meaning, and tells whether two questions differ so. The rules
are independent of each other and know nothing of similarity; `bench/cache_quality.py` publishes what each one catches
and what it costs.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

from penstock_cache.semantic.lexicon import lexicon
from penstock_cache.semantic.order import START, order_differs
from penstock_cache.semantic.sketch import Sketch

Rule = Callable[[Sketch, Sketch], bool]

_MODALS = frozenset(lexicon().modals.values())
_UNMISTAKABLE = _MODALS | frozenset(lexicon().asks.values()) - {"thing"}
_AKIN = (
    frozenset({"time", "span"}),
    frozenset({"manner", "can"}),
    frozenset({"can", "will"}),
    frozenset({"reason", "can"}),
)
_EXCHANGING = frozenset({"into", "from", "befor", "after", "against", "above", "below", "without"})
_BASE_LENGTH_MIN = 3
_END = "$"


def failed_rule(one: Sketch, other: Sketch) -> str:
    """Name the first rule by which two questions differ; empty when none does."""
    for name, differ in RULES.items():
        if differ(one, other):
            return name
    return ""


def _numbers(one: Sketch, other: Sketch) -> bool:
    return one.numbers != other.numbers


def _units(one: Sketch, other: Sketch) -> bool:
    return one.units != other.units


def _code(one: Sketch, other: Sketch) -> bool:
    return one.code != other.code


def _script(one: Sketch, other: Sketch) -> bool:
    return one.script != other.script


def _negation(one: Sketch, other: Sketch) -> bool:
    """A different number of negations, or the same number of other words negated."""
    if one.negations != other.negations:
        return True
    return one.is_assertion and other.is_assertion and one.negated != other.negated


def _names(one: Sketch, other: Sketch) -> bool:
    return any(name not in other.words for name in one.names) or any(
        name not in one.words for name in other.names
    )


def _listed(words: frozenset[str]) -> Rule:
    """Differ by any word of a list."""

    def differ(one: Sketch, other: Sketch) -> bool:
        return not words.isdisjoint(frozenset(one.words) ^ frozenset(other.words))

    return differ


def _comparison(one: Sketch, other: Sketch) -> bool:
    """Other words of comparison on each side, or on one side and a number beside it."""
    words = lexicon().comparison
    mine, theirs = words.intersection(one.words), words.intersection(other.words)
    return mine != theirs and bool(one.numbers or other.numbers or (mine - theirs and theirs - mine))


def _asks(one: Sketch, other: Sketch) -> bool:
    asked = {one.asks, other.asks}
    return len(asked) > 1 and asked <= _UNMISTAKABLE and asked not in _AKIN


def _antonyms(one: Sketch, other: Sketch) -> bool:
    """A word of one stands against a word of the other, by the lexicon or by a prefix."""
    mine, theirs = (
        frozenset(one.words) - frozenset(other.words),
        frozenset(other.words) - frozenset(one.words),
    )
    opposites = lexicon().antonyms
    if any(not theirs.isdisjoint(opposites.get(word, ())) for word in mine):
        return True
    return any(_prefixed(word, base) or _prefixed(base, word) for word in mine for base in theirs)


def _prefixed(word: str, base: str) -> bool:
    return len(word) > len(base) >= _BASE_LENGTH_MIN and (
        (word.endswith(base) and word[: -len(base)] in lexicon().prefixes) or word == base + "les"
    )


def _direction(one: Sketch, other: Sketch) -> bool:
    """A shared word comes after "from" in one and after "to" in the other, or two took each other's place so."""
    opposites = lexicon().antonyms
    mine, theirs = _roles(one) - _roles(other), _roles(other) - _roles(one)
    if any((word, opposite) in theirs for word, role in mine for opposite in opposites.get(role, ())):
        return True
    return any(
        role == there and role in _EXCHANGING and word in other.words and instead in one.words
        for word, role in mine
        for instead, there in theirs
    )


def _possessor(one: Sketch, other: Sketch) -> bool:
    """The same thing is somebody else's."""
    mine, theirs = _owned(one), _owned(other)
    return any(whose != theirs.get(thing, whose) for thing, whose in mine.items())


def _owned(of: Sketch) -> dict[str, str]:
    possessors = lexicon().possessors
    return {thing: whose for whose, thing in pairwise(of.words) if whose in possessors}


def _roles(of: Sketch) -> set[tuple[str, str]]:
    content = frozenset(of.content)
    roles, role = set(), ""
    for word in of.words:
        if word in lexicon().direction:
            role = word
        elif role and (word in content or word in of.numbers):
            roles.add((word, role))
            role = ""
    return roles


def _substitution(one: Sketch, other: Sketch) -> bool:
    """Another word stands between the same neighbours: what is asked about was exchanged."""
    mine, theirs = (
        frozenset(one.content).difference(other.words),
        frozenset(other.content).difference(one.words),
    )
    if not mine or not theirs:
        return False
    return not _contexts(one, mine).isdisjoint(_contexts(other, theirs))


def _contexts(of: Sketch, wanted: frozenset[str]) -> set[tuple[str, str]]:
    words = (START, *of.words, _END)
    return {(words[at], words[at + 2]) for at, word in enumerate(of.words) if word in wanted}


def _assertion(one: Sketch, other: Sketch) -> bool:
    """A statement of fact is another one as soon as any word that carries its subject is another."""
    return one.is_assertion and other.is_assertion and frozenset(one.content) != frozenset(other.content)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "script": _script,
        "numbers": _numbers,
        "units": _units,
        "code": _code,
        "time": _listed(lexicon().time),
        "names": _names,
        "languages": _listed(lexicon().languages),
        "negation": _negation,
        "quantity": _listed(lexicon().quantity),
        "rank": _listed(lexicon().rank),
        "comparison": _comparison,
        "asks": _asks,
        "antonyms": _antonyms,
        "direction": _direction,
        "possessor": _possessor,
        "order": order_differs,
        "substitution": _substitution,
        "assertion": _assertion,
    }
)
