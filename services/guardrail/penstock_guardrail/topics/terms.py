"""Terms as one grammar: a tree of their common beginnings, so that a thousand terms cost what their letters cost."""

from collections.abc import Iterable, Mapping

from penstock_guardrail.canonical import view_of
from penstock_guardrail.grammar import BOUNDARY, Grammar, characters, either, literal, sequence

# Between the words of a term; in a canonical view all dashes and spaces are these.
_BETWEEN_WORDS = characters("[ \t\n_-]", 1, 3)

_Tree = dict[str, "_Tree"]
_END = ""


def grammar_of_terms(terms: Iterable[str]) -> Grammar:
    """Match whole terms, in any case.

    Raises:
        ValueError: a term is not of Latin letters and digits, or does not begin and end with one.
    """
    tree: _Tree = {}
    for term in terms:
        branch = tree
        for character in _characters(term):
            branch = branch.setdefault(character, {})
        branch[_END] = {}
    return sequence(BOUNDARY, _grammar(tree), BOUNDARY)


def _characters(term: str) -> str:
    view = view_of(term.strip()).characters.decode("latin-1").lower()
    words = " ".join(view.replace("-", " ").replace("_", " ").split())
    if not words.isascii() or not words[:1].isalnum() or not words[-1:].isalnum():
        raise ValueError(f"{term!r} cannot be looked for: terms are words of Latin letters and digits")
    return words


def _grammar(tree: Mapping[str, _Tree]) -> Grammar:
    choices = [() if at == _END else sequence(_one(at), _grammar(branch)) for at, branch in tree.items()]
    return choices[0] if len(choices) == 1 else either(*choices)


def _one(character: str) -> Grammar:
    return _BETWEEN_WORDS if character == " " else literal(character, ignore_case=True)
