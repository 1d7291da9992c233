"""Logistic regression over windows: a text is as suspicious as its strongest window (multiple-instance learning).

An example that many others copy counts for less, and each source for as much as it is told to.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from penstock_guardrail.injection.features import BUCKETS
from penstock_guardrail.injection.signals import NAMES

from penstock_foundry.injection import corpus
from penstock_foundry.injection.corpus import Example
from penstock_foundry.injection.design import Design, Floats, Integers

_PENALTY = 2e-6
_STEPS_MAX = 50
# Signals are few and weigh more than single n-grams from the start.
_SIGNAL_VALUE = np.float32(1.5)
_SHARE_LABELLED = 1.5
_SHARE_OTHER_TALK = 0.3
_SHARES = MappingProxyType(
    {
        corpus.JOINED: 0.1,
        corpus.DOCUMENTS: 0.35,
        f"{corpus.GRAMMAR}attacks": 0.4,
        f"{corpus.GRAMMAR}benign": 0.4,
    }
)


@dataclass(frozen=True, slots=True)
class Fit:
    """What was learnt, before calibration."""

    buckets: Floats
    signals: Floats
    bias: float

    def scores(self, matrix: Design) -> npt.NDArray[np.float64]:
        """Score all texts of a design."""
        by_row = np.add.reduceat(self.buckets[matrix.buckets] * matrix.values, matrix.begins[:-1])
        strongest: npt.NDArray[np.float64] = np.maximum.reduceat(by_row, matrix.first).astype(np.float64)
        return strongest + self.bias + matrix.signals @ self.signals


def importance(
    examples: Sequence[Example], groups: Sequence[str], labelled: frozenset[str]
) -> npt.NDArray[np.float64]:
    """Give the weight of each example: copies share one's root, and the sources that were `labelled` count in full."""
    copies = Counter(groups)
    weights = np.array(
        [
            1 / np.sqrt(copies[group]) if _is_collected(each) else 1.0
            for each, group in zip(examples, groups, strict=True)
        ]
    )
    kinds = [(each.source, each.attack) for each in examples]
    for kind in set(kinds):
        own = np.array([each == kind for each in kinds])
        weights[own] *= _share(kind[0], labelled) / weights[own].mean()
    return weights


def train(matrix: Design, labels: Floats, weights: npt.NDArray[np.float64], texts: Integers) -> Fit:
    """Fit on some of the texts (L-BFGS; Liu & Nocedal 1989). The same input gives the same result."""
    problem = _Problem(matrix, labels, weights, texts)
    theta = torch.zeros(problem.size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=_STEPS_MAX, history_size=8, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        value, gradient = problem.loss(theta.detach().numpy())
        theta.grad = torch.from_numpy(gradient)
        return torch.tensor(value)

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return problem.fit(theta.detach().numpy())


def _share(source: str, labelled: frozenset[str]) -> float:
    if source in labelled:
        return _SHARE_LABELLED
    return _SHARES.get(source, _SHARE_OTHER_TALK)


def _is_collected(example: Example) -> bool:
    return example.source not in _SHARES


class _Problem:
    """The loss and its gradient over the buckets that occur."""

    def __init__(
        self, matrix: Design, labels: Floats, weights: npt.NDArray[np.float64], texts: Integers
    ) -> None:
        rows = matrix.rows_of(texts)
        sizes = np.diff(matrix.begins)[rows]
        at = np.repeat(matrix.begins[rows] - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(
            sizes.sum()
        )
        self._used, self._buckets = np.unique(matrix.buckets[at], return_inverse=True)
        self._values = matrix.values[at]
        self._begins = np.append(0, np.cumsum(sizes)[:-1])
        self._row = np.repeat(np.arange(rows.size), sizes)
        owner = np.searchsorted(matrix.first, rows, "right") - 1
        self._text = np.searchsorted(texts, owner)
        self._first = np.searchsorted(self._text, np.arange(texts.size))
        self._signals = matrix.signals[texts] * _SIGNAL_VALUE
        self._labels, self._weights = labels[texts], weights[texts] / weights[texts].sum()
        self.size = self._used.size + len(NAMES) + 1

    def loss(self, theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        used, signals = self._used.size, len(NAMES)
        by_row = np.add.reduceat(theta[self._buckets].astype(np.float32) * self._values, self._begins)
        strongest = np.maximum.reduceat(by_row, self._first)
        scores = strongest + self._signals @ theta[used : used + signals] + theta[-1]
        losses = np.logaddexp(0, scores) - self._labels * scores
        slope = self._weights * (1 / (1 + np.exp(-scores)) - self._labels)
        by_row_slope = np.where(by_row == strongest[self._text], slope[self._text], 0)
        by_bucket = np.bincount(self._buckets, self._values * by_row_slope[self._row], used)
        penalised = theta.copy()
        penalised[-1] = 0
        gradient = (
            np.concatenate([by_bucket, self._signals.T @ slope, [slope.sum()]]) + 2 * _PENALTY * penalised
        )
        return float(self._weights @ losses + _PENALTY * penalised @ penalised), gradient

    def fit(self, theta: npt.NDArray[np.float64]) -> Fit:
        used = self._used.size
        buckets = np.zeros(BUCKETS, np.float32)
        buckets[self._used] = theta[:used]
        return Fit(buckets, theta[used:-1].astype(np.float32) * _SIGNAL_VALUE, float(theta[-1]))


def labels_of(examples: Sequence[Example]) -> Floats:
    """Give 1 for attacks, 0 for others."""
    return np.array([example.attack for example in examples], np.float32)


def calibrate(
    scores: npt.NDArray[np.float64], labels: Floats, weights: npt.NDArray[np.float64]
) -> Mapping[str, float]:
    """Fit slope and offset of a logistic to scores of texts not trained on (Platt 1999), by Newton's method."""
    slope, offset = 0.0, 0.0
    ones = np.ones_like(scores)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(slope * scores + offset)))
        design = np.stack([scores, ones])
        gradient = design @ (weights * (chance - labels))
        curvature = (design * (weights * chance * (1 - chance))) @ design.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        slope, offset = slope - step[0], offset - step[1]
        if np.abs(step).max() < 1e-9:  # noqa: PLR2004
            break
    return {"slope": float(slope), "offset": float(offset)}
