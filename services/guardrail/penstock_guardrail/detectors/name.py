"""Names of persons, places and organisations, addresses and titles, by what stands around them.

A model of 65,536 rows reads words and their neighbours (`tagger.py`). Neighbouring words with the same label are one
name. What follows a word in small letters does not matter, so prose is held back no longer than the word it is in.
"""

from collections.abc import Iterator
from math import exp
from typing import NamedTuple

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.tagger import LABELS, Weights, shipped
from penstock_guardrail.tokens import NEIGHBOUR_CHARACTERS_MAX, REACH_CHARACTERS_MAX, Tokens, tokens_of

_RUN_TOKENS_MAX = 24
# What may stand between two words of a name: so many characters, so many of them signs.
_GAP_CHARACTERS_MAX = _SIGNS_MAX = 4
_EVIDENCE = "the words of it and beside it"


class Named(NamedTuple):
    """The tokens that are part of names, each field a column."""

    at: list[int]
    labels: list[int]
    scores: list[float]
    starts: list[int]
    ends: list[int]


class NameDetector:
    """Find names. Its matches follow from no grammar, so it tells itself which are open."""

    name = "name"
    version = 2

    def __init__(self) -> None:
        self._weights = shipped()

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the names that begin in [start, end)."""
        base = max(0, start - REACH_CHARACTERS_MAX)
        tokens = tokens_of(view[base:])
        named = _named(tokens, self._weights)
        for first, last in _runs(tokens, named):
            if base + named.starts[first] >= end:
                break
            if base + named.starts[first] >= start and last - first <= _RUN_TOKENS_MAX:
                yield _candidate(named, first, last, base)
            elif base + named.starts[last - 1] >= start:
                # A longer run is decided before it ends, so every token of it must tell what it begins.
                for at in range(first, last):
                    yield _candidate(named, at, min(last, at + _RUN_TOKENS_MAX), base)

    def open_from(self, view: bytes, start: int) -> int:
        """Give where the first name begins, at `start` or after, that what follows may yet make, change or prolong."""
        base = max(0, start - REACH_CHARACTERS_MAX)
        tokens = tokens_of(view[base:])
        named = _named(tokens, self._weights)
        labels = dict(zip(named.at, named.labels, strict=True))
        undecided = _undecided(tokens, len(view) - base)
        place = int(tokens.starts[undecided]) if undecided < tokens.number else len(view) - base
        label = 0
        for at in range(undecided - 1, max(-1, undecided - 1 - _RUN_TOKENS_MAX * _SIGNS_MAX), -1):
            if tokens.is_sign[at]:
                continue
            here = labels.get(at, 0)
            if not here or here != (label or here) or place - int(tokens.ends[at]) > _GAP_CHARACTERS_MAX:
                break
            label, place = here, int(tokens.starts[at])
        return max(start, base + place)


def _candidate(named: Named, first: int, last: int, base: int) -> Candidate:
    percent = int(100 / (1 + exp(-max(named.scores[first:last]))) + 0.5)
    label, confidence = LABELS[named.labels[first]], max(50, percent) / 100
    start, end = base + named.starts[first], base + named.ends[last - 1]
    return Candidate(start, end, label, confidence, "name/2", _EVIDENCE, True)


def _undecided(tokens: Tokens, view_end: int) -> int:
    """Give the first token whose label may change: one that is not whole, or that asks what follows it."""
    last = tokens.number - 1
    if last < 0 or view_end - tokens.ends[last] > NEIGHBOUR_CHARACTERS_MAX:
        return last + 1
    if tokens.ends[last] == view_end and not tokens.is_long[last]:
        last -= 1
    return last if last >= 0 and tokens.asks[last] else last + 1


def _named(tokens: Tokens, weights: Weights) -> Named:
    """Give the tokens that have a label."""
    at, labels, scores = weights.named(tokens)
    columns = (at, labels, scores, tokens.starts.take(at), tokens.ends.take(at))
    return Named(*(column.tolist() for column in columns))


def _runs(tokens: Tokens, named: Named) -> Iterator[tuple[int, int]]:
    """Give the tokens that are one name, name by name: from which column to which."""
    first, count = 0, len(named.at)
    for after in range(1, count + 1):
        if after == count or not _continues(tokens, named, after):
            yield first, after
            first = after


def _continues(tokens: Tokens, named: Named, each: int) -> bool:
    """Tell whether a token goes on with the name of the one before: nothing but signs stands between."""
    before, at = named.at[each - 1], named.at[each]
    return (
        named.labels[each - 1] == named.labels[each]
        and named.starts[each] - named.ends[each - 1] <= _GAP_CHARACTERS_MAX
        and (at == before + 1 or bool(tokens.is_sign[before + 1 : at].all()))
    )
