"""What a training reaches on texts that it has not seen: by folds of groups, and source by source."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penstock_foundry.injection.corpus import Example
from penstock_foundry.injection.design import Design
from penstock_foundry.injection.groups import near_duplicates
from penstock_foundry.injection.training import importance, labels_of, train

_FOLDS = 5
_FALSE_POSITIVES = 0.01

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Recall at 1 % false positives, and the share of harmless texts with a probability below one half."""

    recall_at_1pct: float | None
    benign_accuracy: float
    threshold: float


def grouped(examples: Sequence[Example]) -> list[str]:
    """Give each example the name of what must not be parted: its template, or the first of its near-duplicates."""
    numbers = near_duplicates([example.text for example in examples])
    return [example.group or f"text-{number}" for example, number in zip(examples, numbers, strict=True)]


def cross_validated(
    examples: Sequence[Example], matrix: Design, groups: Sequence[str], labelled: frozenset[str], seed: int
) -> Scores:
    """Score every text by a model that saw neither it nor anything of its group."""
    names = sorted(set(groups))
    random.Random(seed).shuffle(names)  # noqa: S311 - folds are to be the same every time
    folds = {name: number % _FOLDS for number, name in enumerate(names)}
    fold = np.array([folds[group] for group in groups])
    labels, weights = labels_of(examples), importance(examples, groups, labelled)
    scores = np.zeros(len(examples))
    for held_out in range(_FOLDS):
        fitted = train(matrix, labels, weights, np.flatnonzero(fold != held_out))
        scores[fold == held_out] = fitted.scores(matrix)[fold == held_out]
    return scores


def without_source(
    examples: Sequence[Example], matrix: Design, groups: Sequence[str], labelled: frozenset[str], source: str
) -> Scores:
    """Score all texts by a model that saw none of a source."""
    rest = np.flatnonzero([example.source != source for example in examples])
    return train(matrix, labels_of(examples), importance(examples, groups, labelled), rest).scores(matrix)


def figures(attacks: Scores, harmless: Scores, half: float = 0.0) -> Figures:
    """Measure scores; `half` is the score at which the probability is one half."""
    allowed = int(_FALSE_POSITIVES * harmless.size)
    threshold = float(np.sort(harmless)[::-1][allowed])
    return Figures(
        recall_at_1pct=float((attacks > threshold).mean()) if attacks.size else None,
        benign_accuracy=float((harmless < half).mean()),
        threshold=threshold,
    )
