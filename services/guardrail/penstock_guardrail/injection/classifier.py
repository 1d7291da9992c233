"""Judge texts: how probable it is that each is an attack, where it is strongest, and why."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from penstock_guardrail.injection.decodings import Decodings
from penstock_guardrail.injection.folding import folded, origin
from penstock_guardrail.injection.scoring import BLOCK_BYTES, Scored, blocks
from penstock_guardrail.injection.signals import NAMES, Signals
from penstock_guardrail.injection.weights import Weights

# What is less probable is not reported: no finding, no reasons.
REPORTED_MIN = 0.5
# So much is scored in one go: enough to spread what a go costs, and little enough for the processor's cache.
_GO_BYTES_MAX = 8 * BLOCK_BYTES
_REASONS_MAX = 4
_WORDING = "wording as of attacks"


class Judgement(NamedTuple):
    """A calibrated probability, the characters of the text that were strongest, and reasons that quote nothing."""

    probability: float
    start: int
    end: int
    reasons: Sequence[str] = ()


class _Reading(NamedTuple):
    """A text of so many characters as it stands, or what it says when decoded."""

    characters: int
    text: str
    view: bytes
    hidden_in: str = ""


class _Block(NamedTuple):
    """Part of a reading's view, where it starts there, and the signals in it."""

    view: bytes
    start: int
    signals: Sequence[int]


class _Score(NamedTuple):
    """The score of a block, and where to ask for its strongest window."""

    value: float
    block: _Block
    scored: Scored
    position: int


class Classifier:
    """A cast model at work. Safe to share between threads."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._of_signals = weights.signals.tolist()
        self._signals = Signals()
        self._decodings = Decodings()

    @property
    def name(self) -> str:
        """Name the model that judges, with its version, as findings do: "injection/2"."""
        return f"injection/{self._weights.version}"

    def judge(self, text: str) -> Judgement:
        """Judge a text as it stands and as it reads when decoded; the most suspicious reading counts. O(len(text))."""
        return self.judge_all([text])[0]

    def judge_all(self, texts: Sequence[str]) -> list[Judgement]:
        """Judge texts, each as if it were alone: it costs a third of what one at a time does."""
        readings = [list(self._readings(text)) for text in texts]
        judged = iter(self._judged([reading for own in readings for reading in own]))
        return [max(islice(judged, len(own)), key=_probability) for own in readings]

    def _readings(self, text: str) -> Iterator[_Reading]:
        yield _Reading(len(text), text, folded(text))
        for name, decoded in self._decodings.of(text):
            yield _Reading(len(text), decoded, folded(decoded), name)

    def _judged(self, readings: Sequence[_Reading]) -> list[Judgement]:
        parts = [self._blocks(reading) for reading in readings]
        scores = iter(self._scores([block for own in parts for block in own]))
        return [
            self._judgement(reading, max(islice(scores, len(own)), key=_value), len(own))
            for reading, own in zip(readings, parts, strict=True)
        ]

    def _blocks(self, reading: _Reading) -> list[_Block]:
        text, view = reading.text, reading.view
        if len(view) <= BLOCK_BYTES:
            return [_Block(view, 0, self._signals.found_in(text, view))]
        raw = self._signals.found_in_raw(text)
        return [
            _Block(
                b" %b " % view[start:end].strip(),
                start,
                [*raw, *self._signals.found_in_folded(view[start:end])],
            )
            for start, end in blocks(view)
        ]

    def _scores(self, parts: Sequence[_Block]) -> list[_Score]:
        """Score each block by its strongest window and its signals."""
        scores = []
        for some in _goes(parts):
            scored = Scored(self._weights.buckets, [block.view for block in some])
            for position, (block, wording) in enumerate(zip(some, scored.best(), strict=True)):
                signals = sum([self._of_signals[signal] for signal in block.signals])
                scores.append(_Score(wording + self._weights.bias + signals, block, scored, position))
        return scores

    def _judgement(self, reading: _Reading, score: _Score, blocks_of_reading: int) -> Judgement:
        # The longer a text, the more places for a chance to be taken for an attack.
        odds = self._weights.slope * score.value + self._weights.offset - math.log(blocks_of_reading)
        probability = _logistic(odds)
        if probability < REPORTED_MIN:
            return Judgement(probability, 0, reading.characters)
        window = score.scored.strongest(score.position)
        reasons = self._reasons(score.block.signals, window.score)
        if reading.hidden_in:
            reasons = (f"hidden in {reading.hidden_in}", *reasons)[:_REASONS_MAX]
            return Judgement(probability, 0, reading.characters, reasons)
        first, last = score.block.start + window.start, score.block.start + window.end
        return Judgement(probability, *origin(reading.text, reading.view, first, last), reasons)

    def _reasons(self, signals: Sequence[int], wording: float) -> tuple[str, ...]:
        weighed = [(float(self._weights.signals[signal]), NAMES[signal]) for signal in signals]
        weighed.append((wording + self._weights.bias, _WORDING))
        strongest_first = sorted((each for each in weighed if each[0] > 0), reverse=True)
        return tuple(name for _, name in strongest_first[:_REASONS_MAX]) or (_WORDING,)


def _goes(parts: Iterable[_Block]) -> Iterator[list[_Block]]:
    """Part blocks into those that are scored together."""
    some: list[_Block] = []
    size = 0
    for block in parts:
        if some and size + len(block.view) > _GO_BYTES_MAX:
            yield some
            some, size = [], 0
        some.append(block)
        size += len(block.view)
    if some:
        yield some


def _value(score: _Score) -> float:
    return score.value


def _probability(judgement: Judgement) -> float:
    return judgement.probability


def _logistic(score: float) -> float:
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, score))))
