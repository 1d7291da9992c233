"""What the guard compares: a question taken apart, once, when it is asked. Pure."""

import unicodedata
from dataclasses import dataclass
from sys import intern

from penstock_cache.semantic.lexicon import Lexicon, lexicon
from penstock_cache.semantic.words import Word, read

_NAMES_SHARE_MAX = 0.6


@dataclass(frozen=True, slots=True)
class Sketch:
    """A question as the guard sees it: words by stem, in order; what is rare is empty and costs nothing."""

    words: tuple[str, ...]
    plain: tuple[str, ...]  # without fillers
    content: tuple[str, ...]  # words that carry the subject
    numbers: tuple[str, ...]
    units: tuple[str, ...]
    names: tuple[str, ...]
    code: tuple[str, ...]
    negations: int
    negated: tuple[str, ...]  # the word after each negation
    asks: str  # what kind of answer: manner, time, place, ...; empty when nothing is asked
    is_assertion: bool  # states something of a third person, and asks nothing
    is_passive: bool
    script: str


def sketch(text: str) -> Sketch:
    """Take a question apart."""
    read_words = read(text)
    words = tuple(intern(word.text) for word in read_words)
    lists = lexicon()
    places = [place for place, word in enumerate(words) if word in lists.negation or _is_yet_to(words, place)]
    return Sketch(
        words=words,
        plain=tuple(word for word in words if word not in lists.filler),
        content=tuple(word.text for word in read_words if word.kind in {"word", "code"}),
        numbers=_of(read_words, "number"),
        units=_of(read_words, "unit"),
        names=_names(read_words),
        code=_of(read_words, "code"),
        negations=len(places),
        negated=tuple(words[place + 1] if place + 1 < len(words) else "" for place in places),
        asks=_asks(words, lists),
        is_assertion="?" not in text and not lists.asks.keys() & words[:1] and lists.person.isdisjoint(words),
        is_passive=_is_passive(words),
        script=_script(text),
    )


def _is_yet_to(words: tuple[str, ...], place: int) -> bool:
    return words[place : place + 2] == ("yet", "to")


def _of(words: list[Word], kind: str) -> tuple[str, ...]:
    return tuple(sorted(word.text for word in words if word.kind == kind))


def _names(words: list[Word]) -> tuple[str, ...]:
    """Give the names; none where most words are capitals, as in a title."""
    names = tuple(word.text for word in words if word.is_name)
    return names if len(names) <= max(3, _NAMES_SHARE_MAX * len(words)) else ()


def _asks(words: tuple[str, ...], lists: Lexicon) -> str:
    """Name the kind of answer that is wanted, by the first question word, else by a modal verb at the start."""
    for place, word in enumerate(words):
        kind = lists.asks.get(word)
        if kind is not None:
            after = words[place + 1] if place + 1 < len(words) else ""
            return lists.asks.get(f"{word} {after}", kind)
    return lists.modals.get(words[0], "") if words else ""


def _is_passive(words: tuple[str, ...]) -> bool:
    by = words.index("by", 2) if "by" in words[2:] else 0
    return "be" in words[max(0, by - 4) : max(0, by - 1)]


def _script(text: str) -> str:
    """Name the script of the first letter: LATIN, CYRILLIC, CJK."""
    letter = next((letter for letter in text if letter.isalpha()), "")
    if letter < "ɐ":
        return "LATIN" if letter else ""
    return unicodedata.name(letter, "?").split()[0]
