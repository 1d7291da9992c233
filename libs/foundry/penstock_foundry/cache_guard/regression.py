"""Logistic regression by Newton's method. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ROUNDS = 20
_RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Regression:
    """Log-odds = bias + weights · values."""

    bias: float
    weights: Array

    def log_odds(self, values: Array) -> Array:
        """Score rows of values, `[rows, features]`."""
        scores: Array = values @ self.weights + self.bias
        return scores


def fit(values: Array, same: Array) -> Regression:
    """Fit `same` (0 or 1) to values, `[rows, features]`, with a ridge on standardised weights."""
    mean, deviation = values.mean(0), values.std(0) + 1e-9
    rows = np.c_[(values - mean) / deviation, np.ones(len(values))]
    ridge = np.diag([*[_RIDGE] * values.shape[1], 0.0])
    weights = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (chance - same) + ridge @ weights
        curvature = (rows * (chance * (1 - chance))[:, None]).T @ rows + ridge
        weights -= np.linalg.solve(curvature, gradient)
    scaled = weights[:-1] / deviation
    return Regression(float(weights[-1] - scaled @ mean), scaled)
