"""Judge a text: how probable it is that it is an attack, where it is strongest, and why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_guardrail.injection.decodings import Decodings
from penstock_guardrail.injection.folding import folded, origin
from penstock_guardrail.injection.scoring import BLOCK_BYTES, Window, blocks, strongest
from penstock_guardrail.injection.signals import NAMES, Signals
from penstock_guardrail.injection.weights import Weights

# What is less probable is not reported: no finding, no reasons.
REPORTED_MIN = 0.5
_REASONS_MAX = 4
_WORDING = "wording as of attacks"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A calibrated probability, the characters of the text that were strongest, and reasons that quote nothing."""

    probability: float
    start: int
    end: int
    reasons: Sequence[str] = ()


class Classifier:
    """A cast model at work. Safe to share between threads."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._signals = Signals()
        self._decodings = Decodings()

    @property
    def version(self) -> int:
        """Say which model judges."""
        return self._weights.version

    def judge(self, text: str) -> Judgement:
        """Judge a text as it stands and as it reads when decoded; the most suspicious reading counts. O(len(text))."""
        judged = self._judged(text)
        for name, decoded in self._decodings.of(text):
            hidden = self._judged(decoded)
            if hidden.probability > judged.probability:
                reasons = (f"hidden in {name}", *hidden.reasons)
                judged = Judgement(hidden.probability, 0, len(text), reasons[:_REASONS_MAX])
        return judged

    def _judged(self, text: str) -> Judgement:
        view = folded(text)
        scored = self._blocks(text, view)
        score, window, signals = max(scored, key=_score)
        # The longer a text, the more places for a chance to be taken for an attack.
        odds = self._weights.slope * score + self._weights.offset - math.log(len(scored))
        probability = _logistic(odds)
        if probability < REPORTED_MIN:
            return Judgement(probability, 0, len(text))
        place = origin(text, view, window.start, window.end)
        return Judgement(probability, *place, self._reasons(signals, window.score))

    def _blocks(self, text: str, view: bytes) -> "list[_Block]":
        """Score each block of a text by its strongest window and its signals."""
        if len(view) <= BLOCK_BYTES:
            return [self._block(view, 0, self._signals.found_in(text, view))]
        raw = self._signals.found_in_raw(text)
        return [
            self._block(
                b" %b " % view[start:end].strip(),
                start,
                [*raw, *self._signals.found_in_folded(view[start:end])],
            )
            for start, end in blocks(view)
        ]

    def _block(self, block: bytes, start: int, signals: Sequence[int]) -> "_Block":
        found = strongest(self._weights.buckets, block)
        score = found.score + self._weights.bias + float(self._weights.signals[signals].sum())
        return score, Window(found.score, start + found.start, start + found.end), signals

    def _reasons(self, signals: Sequence[int], wording: float) -> tuple[str, ...]:
        weighed = [(float(self._weights.signals[signal]), NAMES[signal]) for signal in signals]
        weighed.append((wording + self._weights.bias, _WORDING))
        strongest_first = sorted((each for each in weighed if each[0] > 0), reverse=True)
        return tuple(name for _, name in strongest_first[:_REASONS_MAX]) or (_WORDING,)


_Block = tuple[float, Window, Sequence[int]]


def _score(block: _Block) -> float:
    return block[0]


def _logistic(score: float) -> float:
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, score))))
