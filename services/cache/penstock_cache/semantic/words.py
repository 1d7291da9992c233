"""A text as words that can be compared: stems, numbers, units, code. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from penstock_cache.semantic.lexicon import Lexicon, expand, lexicon, stem

_TOKEN = re.compile(
    r"""
    (?P<code>`[^`]+`|https?://\S+|[\w.+-]+@[\w-]+\.\w+|\w+\(\)|[\w.-]*[/\\_][\w./\\-]*\w|(?<![\w-])-{1,2}[a-zA-Z][\w-]*)
    |(?P<number>(?<![\w.])[-+]?\d+(?:[.,:]\d+)*(?=[^\W\d]{0,12}(?!\w)))
    |(?P<word>[^\W\d_]+(?:['’`´][^\W\d_]+)*(?!\w))
    |(?P<mixed>\w+(?:-\w*\d\w*)*)
    |(?P<symbol>[$€£¥₹%°])
    |(?P<operator>[<>=!+*/^&|~?:]*[<>=+*/^&|~][<>=+*/^&|~]*)
    |(?P<stop>[.!?]+)
    """,
    re.VERBOSE,
)
_NOT = r"(?:n['’`´]?t|\s+not)"
_HEDGE = re.compile(
    rf"(?:(?:\b(?:am|do|can|could|did|was)|['’`´]m|\bim){_NOT}\s+(?:really\s+|quite\s+|entirely\s+)?"
    r"(?:know|sure|certain|clear|understand|see|figure\s+out|tell)|\bunsure|\buncertain)"
    r"\s+(?:of\s+|on\s+|about\s+|exactly\s+)?(?=(?:why|how|what|when|where|who|which|if|whether)\b)",
    re.IGNORECASE,
)
_TAG = re.compile(
    rf"(?<=\w),?\s+(?:is|are|am|was|were|do|does|did|has|have|had|can|could|will|would|should|wo|ai){_NOT}?\s+(?:i|you|he|she|it|we|they)\s*\?\s*$",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"^\W*(?:(?:hi|hello|hey)\W+)?(?:please\s+)?(?:(?:can|could|would|will)\s+you\s+(?:please\s+)?)?"
    r"(?:(?:tell|show|explain(?:\s+to)?|help)\s+(?:me|us)\s+|explain\s+)(?=(?:how|what|when|where|who|which|why|if|whether)\b)",
    re.IGNORECASE,
)
_GENITIVE = re.compile("['’`´]s$")
_HALF_OF_DAY = re.compile(r"(?<=\d)\s*([ap])\.\s?m\b\.?", re.IGNORECASE)
_LETTER_NAME = re.compile("[A-HJ-Z]")  # team A, vitamin C; in upper case, so that "A" is no article
_SYMBOLS = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupe", "%": "percent", "°": "degre"}
_GROUPED = re.compile(r",(?=\d{3}\b)")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]")


class Word(NamedTuple):
    """A word, a number, a unit or a piece of code; words by the stem that stands for all their synonyms."""

    text: str
    kind: str  # "word", "function", "number", "unit", "code"
    is_name: bool = False


def read(text: str) -> list[Word]:
    """Take a text apart."""
    words: list[Word] = []
    lists = lexicon()
    starts = True
    for match in _TOKEN.finditer(_plainly(unicodedata.normalize("NFKC", text))):
        kind, token = match.lastgroup, match.group()
        if kind == "word" and not _INNER_CAPITAL.search(token):
            words.extend(
                _words(token, lists, starts=starts, counted=bool(words) and words[-1].kind == "number")
            )
        elif kind == "number":
            words.append(Word(_plain(token), "number"))
        elif kind == "symbol":
            words.append(Word(_SYMBOLS[token], "unit"))
        elif kind != "stop":
            words.append(Word(token.lower() if kind == "mixed" else token.strip("`"), "code"))
        starts = kind == "stop"
    return words


def _plainly(text: str) -> str:
    """Leave out "Could you tell me" and what negates nothing ("I'm not sure why"), and write "6 p.m." as "6 pm"."""
    return _HALF_OF_DAY.sub(r" \1m", _TAG.sub("?", _HEDGE.sub("", _REQUEST.sub("", text))))


def _words(token: str, lists: Lexicon, *, starts: bool, counted: bool) -> Iterator[Word]:
    if not starts and _LETTER_NAME.fullmatch(token):
        yield Word(token, "word", is_name=True)
        return
    for part in expand(token.lower()):
        form = stem(part)
        value = lists.numbers.get(form)
        if value is not None:
            yield Word(value, "number")
            continue
        concept = lists.concepts.get(form, form)
        if (counted and form in lists.units) or form in lists.currencies:
            yield Word(concept, "unit")
        elif form in lists.function:
            yield Word(concept, "function")
        else:
            yield Word(concept, "word", _is_name(token, form, lists, starts=starts))
            if _GENITIVE.search(token):
                yield Word("'s", "function")


def _is_name(token: str, form: str, lists: Lexicon, *, starts: bool) -> bool:
    """Tell a name by its capital letter, unless a sentence begins with it or it is an everyday word."""
    if not token[0].isupper() or form in lists.antonyms or form in lists.negation:
        return False
    return not starts or (len(token) > 1 and token.isupper())


def _plain(number: str) -> str:
    """Write a number in one way: 1,000.00 as 1000; but version 5.10 is not 5.1."""
    return _GROUPED.sub("", number).removesuffix(".00")
