"""How long the words of a grammar may be, and how large it is."""

from penstock_guardrail.grammar import Boundary, Characters, Either, Grammar, Node, Repeated

MATCH_CHARACTERS_MAX = 256
SIZE_MAX = 2048

_Lengths = tuple[int, int | None]


def lengths(grammar: Grammar) -> _Lengths:
    """Give the length of the shortest word and of the longest, None when there is no longest."""
    least, most = 0, 0
    for node in grammar:
        node_least, node_most = _lengths(node)
        least += node_least
        if node_most is None:
            return sum(_lengths(each)[0] for each in grammar), None
        most += node_most
    return least, most


def size(grammar: Grammar) -> int:
    """Count the nodes of a grammar whose repetitions are written out."""
    return sum(map(_size, grammar))


def _lengths(node: Node) -> _Lengths:
    match node:
        case Boundary():
            return 0, 0
        case Characters(least=least, most=most):
            return least, most
        case Either(choices=choices):
            each = [lengths(choice) for choice in choices]
            longest = [most for _, most in each if most is not None]
            return min(least for least, _ in each), max(longest) if len(longest) == len(each) else None
        case Repeated(part=part, least=least, most=most):
            part_least, part_most = lengths(part)
            unbounded = most is None or part_most is None
            return part_least * least, None if unbounded else (part_most or 0) * (most or 0)


def _size(node: Node) -> int:
    match node:
        case Boundary():
            return 1
        case Characters(least=least, most=most):
            return max(least, most or 0, 1)
        case Either(choices=choices):
            return 1 + sum(map(size, choices))
        case Repeated(part=part, least=least, most=most):
            return max(least, most or 0, 1) * size(part)
