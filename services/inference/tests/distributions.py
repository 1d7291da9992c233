"""What tokens should be drawn with, the textbook's slow way: everything is sorted, and cut."""

import numpy as np
from penstock_inference.drawing import Rule


def edited(logits: np.ndarray, edits: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
    """Change logits by a table of edits and a mask of truth values."""
    logits = logits.copy()
    for token, bias, repetition, deduction in edits:
        with np.errstate(over="ignore"):
            logit = logits[token] + bias
            logit = logit / repetition if logit > 0 else logit * repetition
            logits[token] = logit - deduction
    if allowed is not None:
        logits[~allowed] = -np.inf
    return logits


def distribution(logits: np.ndarray, rule: Rule, leeway: float = 1.0) -> np.ndarray:
    """Give each token's probability: temperature, min-p, top-k, top-p. The leeway is a factor of both thresholds."""
    exact = logits.astype(np.float64)
    order = np.argsort(-exact, kind="stable")
    if not rule.temperature:
        return (np.arange(logits.size) == order[0]).astype(np.float64)
    with np.errstate(over="ignore"):
        weights = np.exp((exact - exact.max()) / rule.temperature)
    weights[weights < min(rule.min_p * leeway, 1.0)] = 0
    if rule.top_k:
        weights[order[rule.top_k :]] = 0
    if rule.top_p < 1:
        mass = np.cumsum(weights[order]) / weights.sum()
        weights[order[int(np.searchsorted(mass, rule.top_p * leeway)) + 1 :]] = 0
    return weights / weights.sum()
