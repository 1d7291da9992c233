"""Draw a token from logits: temperature, min-p, top-k and top-p, exact and without sorting the vocabulary."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TEMPERATURE_MIN = 1e-4  # below, the likeliest token has all the mass there is in float32
_NUCLEUS_THRESHOLD = 1 / 32
_LOG2_E = math.log2(math.e)
_BLOCK_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Controls:
    """How randomly tokens are drawn, and among which. The defaults leave the model's distribution as it is."""

    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def greedy(self) -> bool:
        """Tell whether the likeliest token is taken, with nothing left to chance."""
        return self.temperature < TEMPERATURE_MIN


def draw_token(logits: Floats, controls: Controls, uniform: float) -> int:
    """Draw a token from logits `[vocabulary]`, by inverse transform of `uniform` in [0, 1).

    Temperature comes first; then min-p, top-k and top-p each narrow what the one before left, as in vLLM.
    """
    if controls.greedy:
        return int(logits.argmax())
    ids = largest(logits, controls.top_k) if 0 < controls.top_k < logits.size else None
    weights = _weights(logits if ids is None else logits[ids], controls.temperature)
    if controls.min_p > 0:
        # The likeliest token weighs 1. That top-k came before changes nothing: both keep the largest.
        ids, weights = _narrow(ids, weights, np.flatnonzero(weights >= controls.min_p))
    if controls.top_p < 1:
        ids, weights = _narrow(ids, weights, nucleus(weights, controls.top_p))
    place = _inverse_transform(weights, uniform)
    return place if ids is None else int(ids[place])


def nucleus(weights: Floats, top_p: float) -> Ids:
    """Find the fewest places that hold `top_p` of all weight, heaviest first (Holtzman et al., ICLR 2020).

    The heaviest weight is 1. Only places above a threshold are sorted, and it falls until they hold enough. Below its
    floor it need not go: places lighter than (1 - top_p) / n of the whole weigh less than 1 - top_p together.
    """
    total = float(weights.sum(dtype=np.float64))
    floor = (1 - top_p) / weights.size * total
    threshold = _NUCLEUS_THRESHOLD
    places = np.flatnonzero(weights >= max(threshold, floor))
    while threshold > floor and weights[places].sum(dtype=np.float64) < top_p * total:
        threshold *= _NUCLEUS_THRESHOLD
        places = np.flatnonzero(weights >= max(threshold, floor))
    places = places[np.argsort(-weights[places], kind="stable")]
    mass = np.cumsum(weights[places], dtype=np.float64)
    return places[: int(np.searchsorted(mass, top_p * total)) + 1]


def largest(values: Floats, count: int) -> Ids:
    """Find the places of the `count` largest values, in no order.

    The `count`-th largest of the maxima of blocks is a bound that at least `count` values reach, so few are compared
    with each other; of 49,152 values that takes 30 us, where a partition of all takes 400.
    """
    if count >= values.size // _BLOCK_TOKENS:
        return _partition(values, count)
    maxima = np.maximum.reduceat(values, np.arange(0, values.size, _BLOCK_TOKENS))
    bound = np.partition(maxima, maxima.size - count)[maxima.size - count]
    places = np.flatnonzero(values >= bound)
    return places[_partition(values[places], count)]


def _partition(values: Floats, count: int) -> Ids:
    return np.argpartition(values, values.size - count)[values.size - count :]


def _weights(logits: Floats, temperature: float) -> Floats:
    """Give probabilities up to a factor, the largest 1. Powers of two take half the time of powers of e."""
    weights: Floats = logits - logits.max()
    weights *= np.float32(_LOG2_E / temperature)
    np.exp2(weights, out=weights)
    return weights


def _narrow(ids: Ids | None, weights: Floats, places: Ids) -> tuple[Ids, Floats]:
    return places if ids is None else ids[places], weights[places]


def _inverse_transform(weights: Floats, uniform: float) -> int:
    """Find the place at which the running sum passes `uniform` of the whole: by block first, then within one."""
    if weights.size <= _BLOCK_TOKENS:
        return _passing_place(weights, uniform)[0]
    blocks = np.add.reduceat(weights, np.arange(0, weights.size, _BLOCK_TOKENS))
    block, rest = _passing_place(blocks, uniform)
    start = block * _BLOCK_TOKENS
    return start + _passing_place(weights[start : start + _BLOCK_TOKENS], rest)[0]


def _passing_place(weights: Floats, uniform: float) -> tuple[int, float]:
    """Find the place, never one without weight, and how far into its weight the point lies, as a share of it."""
    mass = np.cumsum(weights, dtype=np.float64)
    point = uniform * mass[-1]
    place = int(np.searchsorted(mass, point, side="right"))
    before = mass[place - 1] if place else 0.0
    return place, min((point - before) / (mass[place] - before), _BELOW_ONE)


_BELOW_ONE = float(np.nextafter(1.0, 0.0))
