"""Who does what to whom: the guard's rule about the order of words. Pure."""

from penstock_cache.semantic.lexicon import lexicon
from penstock_cache.semantic.sketch import Sketch

START = "^"
_ARTICLES = frozenset({"a", "an", "the"})
_UNORDERED = frozenset({"and", "or"})


def order_differs(one: Sketch, other: Sketch) -> bool:
    """Tell whether two words changed places."""
    if one.words == other.words:
        return False
    shared = frozenset(one.words).intersection(other.words).difference(lexicon().function)
    mine, theirs = ([word for word in of.words if word in shared] for of in (one, other))
    if mine == theirs:
        return one.is_passive != other.is_passive and frozenset(one.content) == frozenset(other.content)
    if one.is_passive != other.is_passive:
        return False
    return (
        _exchanged(mine, theirs)
        or _swapped(_before(one, shared), _before(other, shared))
        or not _joined(one, shared).isdisjoint(
            (right, between, left) for left, between, right in _joined(other, shared)
        )
        or _became_object(one, other)
        or _became_object(other, one)
    )


def _joined(of: Sketch, wanted: frozenset[str]) -> set[tuple[str, tuple[str, ...], str]]:
    """Give the wanted words that function words join, "box in the bag"; those of a list have no order."""
    function = lexicon().function
    joined: set[tuple[str, tuple[str, ...], str]] = set()
    left = ""
    between: list[str] = []
    for word in of.words:
        if word in wanted:
            if left and between and _UNORDERED.isdisjoint(between):
                joined.add((left, tuple(between), word))
            left, between = word, []
        elif word not in function:
            left = ""
        elif word not in _ARTICLES:
            between.append(word)
    return joined


def _became_object(one: Sketch, other: Sketch) -> bool:
    """Tell whether a name that does something in one, "does Kim report", has it done to them in the other."""
    for auxiliary, name, verb in zip(one.words, one.words[1:], one.words[2:], strict=False):
        if auxiliary == "do" and name in one.names and name in other.words and verb in other.words:
            return other.words.index(verb) < other.words.index(name)
    return False


def _exchanged(mine: list[str], theirs: list[str]) -> bool:
    """Tell whether two words that are not neighbours stand in each other's place, and all others in their own."""
    moved = [at for at, (here, there) in enumerate(zip(mine, theirs, strict=False)) if here != there]
    if len(mine) != len(theirs) or not moved[1:]:
        return False
    first, *between, last = moved
    return not between and last > first + 1


def _before(of: Sketch, wanted: frozenset[str]) -> dict[str, str]:
    return {word: left for left, word in zip((START, *of.words), of.words, strict=False) if word in wanted}


def _swapped(mine: dict[str, str], theirs: dict[str, str]) -> bool:
    """Tell whether two words took each other's place behind the same neighbours."""
    moved = {(left, theirs[word]) for word, left in mine.items() if theirs.get(word, left) != left}
    return any((there, here) in moved for here, there in moved)
