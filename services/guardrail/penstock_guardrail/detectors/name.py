"""Names of persons, places and organisations, addresses and titles, by what stands around them.

A model of 65,536 rows reads words and their neighbours (`tagger.py`). Neighbouring words with the same label are one
name. What follows a word in small letters does not matter, so prose is held back no longer than the word it is in.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import exp
from typing import NamedTuple

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.tagger import LABELS, Weights, shipped
from penstock_guardrail.tokens import NEIGHBOUR_CHARACTERS_MAX, REACH_CHARACTERS_MAX, Tokens, tokens_of

_RUN_TOKENS_MAX = 24
# What may stand between two words of a name: so many characters, so many of them signs.
_GAP_CHARACTERS_MAX = _SIGNS_MAX = 4


class Named(NamedTuple):
    """A token that is part of a name."""

    at: int
    label: int
    score: float
    start: int
    end: int


class NameDetector:
    """Find names. Its matches follow from no grammar, so it tells itself which are open."""

    name = "name"
    version = 1

    def __init__(self) -> None:
        self._weights = shipped()

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the names that begin in [start, end)."""
        base = max(0, start - REACH_CHARACTERS_MAX)
        tokens = tokens_of(view[base:])
        for run in _runs(tokens, _named(tokens, self._weights)):
            first = base + run[0].start
            if first >= end:
                break
            if first >= start and len(run) <= _RUN_TOKENS_MAX:
                yield _candidate(run, base)
            elif base + run[-1].start >= start:
                # A longer run is decided before it ends, so every token of it must tell what it begins.
                for at in range(len(run)):
                    yield _candidate(run[at : at + _RUN_TOKENS_MAX], base)

    def open_from(self, view: bytes, start: int) -> int:
        """Give where the first name begins, at `start` or after, that what follows may yet make, change or prolong."""
        base = max(0, start - REACH_CHARACTERS_MAX)
        tokens = tokens_of(view[base:])
        labels = {each.at: each.label for each in _named(tokens, self._weights)}
        undecided = _undecided(tokens, len(view) - base)
        place = int(tokens.starts[undecided]) if undecided < len(tokens) else len(view) - base
        label = 0
        for at in range(undecided - 1, max(-1, undecided - 1 - _RUN_TOKENS_MAX * _SIGNS_MAX), -1):
            if tokens.is_sign[at]:
                continue
            here = labels.get(at, 0)
            if not here or here != (label or here) or place - int(tokens.ends[at]) > _GAP_CHARACTERS_MAX:
                break
            label, place = here, int(tokens.starts[at])
        return max(start, base + place)


def _candidate(run: Sequence[Named], base: int) -> Candidate:
    first = run[0]
    score = first.score if len(run) == 1 else max(each.score for each in run)
    confidence = round(max(0.5, 1 / (1 + exp(-score))), 2)
    start, end = base + first.start, base + run[-1].end
    return Candidate(
        start, end, LABELS[first.label], confidence, "name/1", "the words of it and beside it", True
    )


def _undecided(tokens: Tokens, view_end: int) -> int:
    """Give the first token whose label may change: one that is not whole, or that asks what follows it."""
    last = len(tokens) - 1
    if last < 0 or view_end - tokens.ends[last] > NEIGHBOUR_CHARACTERS_MAX:
        return last + 1
    if tokens.ends[last] == view_end and not tokens.is_long[last]:
        last -= 1
    return last if last >= 0 and tokens.asks[last] else last + 1


def _named(tokens: Tokens, weights: Weights) -> Iterator[Named]:
    """Give the tokens that have a label."""
    at, labels, scores = weights.named(tokens)
    columns = (at, labels, scores, tokens.starts.take(at), tokens.ends.take(at))
    return map(Named, *(column.tolist() for column in columns))


def _runs(tokens: Tokens, named: Iterable[Named]) -> Iterator[list[Named]]:
    """Give the tokens that are one name, name by name."""
    run: list[Named] = []
    for each in named:
        if run and not _continues(tokens, run[-1], each):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _continues(tokens: Tokens, before: Named, each: Named) -> bool:
    """Tell whether a token goes on with the name of the one before: nothing but signs stands between."""
    return (
        each.label == before.label
        and each.start - before.end <= _GAP_CHARACTERS_MAX
        and (each.at == before.at + 1 or bool(tokens.is_sign[before.at + 1 : each.at].all()))
    )
