"""Words beside a match that raise or lower the belief in it."""

from penstock_guardrail.pattern import Pattern

_CHARACTERS_MAX = 48


class Context:
    """Words, as one RE2 alternation, that may stand before a match."""

    def __init__(self, words: str, characters_max: int = _CHARACTERS_MAX) -> None:
        self._words = Pattern(rf"(?i)\b(?:{words})")
        self._characters_max = characters_max

    def before(self, view: bytes, start: int) -> bool:
        """Tell whether one of the words stands shortly before a place."""
        return self._words.search(view[max(0, start - self._characters_max) : start]) is not None


def continues_number(view: bytes, start: int, separators: bytes = b" .-/") -> bool:
    """Tell a number from the rest of a longer one: digits in groups go on."""
    return start > 1 and view[start - 1] in separators and view[start - 2 : start - 1].isdigit()
