"""Whether two answers to one question say the same. Pure."""

from penstock_cache.semantic.guard import RULES
from penstock_cache.semantic.sketch import sketch

SIMILARITY_MIN = 0.85
# What must be equal in two answers; in other words, at another length and in another order they may still agree.
_FACTS = ("script", "numbers", "units", "code", "time", "languages", "negation", "antonyms")


def agree(kept: str, generated: str, similarity: float) -> bool:
    """Tell whether two answers agree: word for word, or near in meaning with the same facts.

    Args:
        kept: text of one.
        generated: text of the other.
        similarity: cosine of their vectors.
    """
    if kept.split() == generated.split():
        return True
    if similarity < SIMILARITY_MIN:
        return False
    one, other = sketch(kept), sketch(generated)
    return not any(RULES[fact](one, other) for fact in _FACTS)
