"""Names of persons, places and organisations, addresses and titles, by what stands around them.

A model of 65,536 rows reads words and their neighbours (`tagger.py`). Neighbouring words with the same label are one
name. What follows a word in small letters does not matter, so prose is held back no longer than the word it is in.
"""

from collections.abc import Iterator, Sequence
from math import exp
from typing import NamedTuple

import numpy as np

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.tagger import LABELS, Labels, Scores, shipped
from penstock_guardrail.tokens import NEIGHBOUR_CHARACTERS_MAX, REACH_CHARACTERS_MAX, Tokens, tokens_of

_RUN_TOKENS_MAX = 24
# What may stand between two words of a name: so many characters, so many of them signs.
_GAP_CHARACTERS_MAX = _SIGNS_MAX = 4


class Named(NamedTuple):
    """A token that is part of a name; its position leaves signs out of account."""

    position: int
    start: int
    end: int
    label: int
    score: float

    def continues(self, before: "Named") -> bool:
        """Tell whether it goes on with the name of the one before."""
        return (
            self.position == before.position + 1
            and self.label == before.label
            and self.start - before.end <= _GAP_CHARACTERS_MAX
        )


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
        labels, scores = self._weights.labels(tokens)
        for run in _runs(tokens, labels, scores):
            if base + run[0].start >= end:
                break
            if base + run[-1].start < start:
                continue
            # A longer run is decided before it ends, so every token of it must tell what it begins.
            is_whole = len(run) <= _RUN_TOKENS_MAX and base + run[0].start >= start
            for at in range(1 if is_whole else len(run)):
                yield _candidate(run[at : at + _RUN_TOKENS_MAX], base)

    def open_from(self, view: bytes, start: int) -> int:
        """Give where the first name begins, at `start` or after, that what follows may yet make, change or prolong."""
        base = max(0, start - REACH_CHARACTERS_MAX)
        tokens = tokens_of(view[base:])
        labels, _ = self._weights.labels(tokens)
        undecided = _undecided(tokens, len(view) - base)
        place = int(tokens.starts[undecided]) if undecided < len(tokens) else len(view) - base
        label = 0
        for at in range(undecided - 1, max(-1, undecided - 1 - _RUN_TOKENS_MAX * _SIGNS_MAX), -1):
            if tokens.is_sign[at]:
                continue
            here = int(labels[at])
            if not here or here != (label or here) or place - int(tokens.ends[at]) > _GAP_CHARACTERS_MAX:
                break
            label, place = here, int(tokens.starts[at])
        return max(start, base + place)


def _candidate(run: Sequence[Named], base: int) -> Candidate:
    confidence = round(max(0.5, 1 / (1 + exp(-max(each.score for each in run)))), 2)
    span = (base + run[0].start, base + run[-1].end)
    return Candidate(
        *span, LABELS[run[0].label], confidence, "name/1", "the words of it and beside it", yields=True
    )


def _undecided(tokens: Tokens, view_end: int) -> int:
    """Give the first token whose label may change: one that is not whole, or that asks what follows it."""
    last = len(tokens) - 1
    if last < 0 or view_end - tokens.ends[last] > NEIGHBOUR_CHARACTERS_MAX:
        return last + 1
    if tokens.ends[last] == view_end and not tokens.is_long[last]:
        last -= 1
    return last if last >= 0 and tokens.asks[last] else last + 1


def _runs(tokens: Tokens, labels: Labels, scores: Scores) -> Iterator[list[Named]]:
    """Give the tokens that are one name, name by name."""
    named = np.flatnonzero(labels)
    fields = (tokens.starts, tokens.ends, labels, scores)
    run: list[Named] = []
    positions = np.cumsum(~tokens.is_sign)[named]
    for each in map(Named, positions.tolist(), *(field.take(named).tolist() for field in fields)):
        if run and not each.continues(run[-1]):
            yield run
            run = []
        run.append(each)
    if run:
        yield run
