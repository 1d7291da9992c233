"""Fit the model of names, and write it as the guardrail reads it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from penstock_guardrail.tagger import LABELS, Weights
from penstock_guardrail.tokens import ROWS_BITS, WORD_FEATURES

from penstock_foundry.names.design import Matrix

_EPOCHS, _BATCH, _RATE, _DECAY = 12, 512, 0.15, 2e-6
# How often features that are words and others are dropped, so that none is relied on alone.
_DROPPED, _DROPPED_WORDS = 0.08, 0.35
_SQUARES_START, _SUM_MAX, _STEPS_OF_SCALE = 0.1, 30, 127

Scores = npt.NDArray[np.float32]


def trained(matrix: Matrix, seed: int = 0) -> Scores:
    """Fit by Adagrad (Duchi et al. 2011) on the cross entropy; features, above all words, are dropped at random."""
    rng = np.random.default_rng(seed)
    features, count = matrix.rows.shape
    scores = np.zeros((1 << ROWS_BITS, len(LABELS) - 1), np.float32)
    squares = np.full_like(scores, _SQUARES_START)
    keep = np.full(features, 1 - _DROPPED)
    keep[list(WORD_FEATURES)] = 1 - _DROPPED_WORDS
    for _ in range(_EPOCHS):
        order = rng.permutation(count)
        for first in range(0, count, _BATCH):
            batch = order[first : first + _BATCH]
            kept = (rng.random((features, len(batch))) < keep[:, None]).astype(np.float32)
            unique, summed = _gradient(scores, matrix.rows[:, batch], matrix.labels[batch], kept)
            summed += _DECAY * len(batch) * scores[unique]
            squares[unique] += summed**2
            scores[unique] -= _RATE * summed / np.sqrt(squares[unique])
    return scores


def save(path: Path, weights: Weights) -> None:
    """Write a model in 8 bits a weight."""
    scale = np.float32(np.abs(weights.scores).max() / _STEPS_OF_SCALE)
    np.savez_compressed(
        path,
        scores=np.round(weights.scores / scale).astype(np.int8),
        scale=scale,
        is_common=np.packbits(weights.is_common),
        margin=np.float32(weights.margin),
    )


def _gradient(
    scores: Scores, rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], kept: Scores
) -> tuple[npt.NDArray[np.int64], Scores]:
    """Give the rows that a batch touches, and the gradient of each."""
    sums = (scores[rows] * kept[..., None]).sum(axis=0)
    odds = np.exp(np.minimum(sums, _SUM_MAX))
    gradient = odds / (1 + odds.sum(axis=1, keepdims=True))
    named = labels > 0
    gradient[named, labels[named] - 1] -= 1
    update = (kept[..., None] * gradient[None]).reshape(-1, scores.shape[1])
    unique, inverse = np.unique(rows.reshape(-1), return_inverse=True)
    summed = np.zeros((len(unique), scores.shape[1]), np.float32)
    np.add.at(summed, inverse, update)
    return unique, summed
