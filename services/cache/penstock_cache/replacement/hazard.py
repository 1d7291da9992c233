"""How likely an item is used next, learnt from how long others like it waited; and what it is worth to keep it. Pure.

Uses are of kinds: the how manieth use of the item it is, how long ago the one before was, and whether the use that
followed was of something new. For each kind and age there is counted how many items waited that long, and how many of
them were used then. Few kinds are seen often enough to be believed alone. So a kind's hazard is what all have at that
age, times what its number of uses makes of it, times what its company does, times what its rhythm does: the age as a
multiple of the wait before. Each factor is what was seen over what was expected without it.

What to keep, when at each age the chance of a use is known: J. C. Gittins, "Bandit processes and dynamic allocation
indices", 1979: the most uses for the requests that it is kept, over all times to give up. For caches: N. Beckmann, H.
Chen, A. Cidon, "LHD: improving cache hit rate by maximizing hit density", NSDI 2018.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from penstock_cache.replacement.use_log import UseLog

Table = npt.NDArray[np.float32]  # [kind, age class]

AGE_MAX = 2**17
AGES_PER_OCTAVE = 4
BOUNDS = np.unique((2.0 ** (np.arange(17 * AGES_PER_OCTAVE + 1) / AGES_PER_OCTAVE)).astype(np.int32))
AGES = len(BOUNDS) - 1
AGE_CLASSES = (np.searchsorted(BOUNDS, np.arange(AGE_MAX), side="right") - 1).clip(0).astype(np.int16)

# What kinds are made of.
NUMBERS = 6
GAPS = 18
COMPANIES = 3
SHAPE = (NUMBERS, GAPS, COMPANIES, AGES)
KINDS = NUMBERS * GAPS * COMPANIES
FOLLOWED_BY_NEW, FOLLOWED_BY_KNOWN = 1, 2
_ALL, _GAP_AND_COMPANY, _GAP = (0, 1, 2), (1, 2), (1,)  # axes of SHAPE

# A factor is believed as if so many more uses had been seen as were expected.
DOUBT_USES = 1.0
# The share of items that is used at an age, where nothing is known: the same at all, as ages grow by factors, and the
# more, the more often an item was used.
PRIOR_SHARE = 0.03
PRIOR_SHAPE = np.arange(1.0, NUMBERS + 1)[:, None, None, None]
SHARE_MAX = 0.95
# How many age classes later to give up: not all are tried.
_STEPS = (*range(1, 13), 14, 16, 20, 24, 28, 32, 40, 48, AGES)


def kind_of(uses: int, gap: int) -> int:
    """Give the kind of a use that is an item's `uses`-th, so many requests after the one before, or 0 for the first."""
    number = min(uses.bit_length(), NUMBERS) - 1
    return (number * GAPS + min(gap.bit_length(), GAPS - 1)) * COMPANIES


class Hazard:
    """Counts, which fade, of how many uses of each kind waited up to each age, and how many ended there."""

    __slots__ = ("_ended", "_known_to", "_waited")

    def __init__(self) -> None:
        self._waited = np.zeros((KINDS, AGES), np.float32)
        self._ended = np.zeros((KINDS, AGES), np.float32)
        self._known_to = 0

    def learn(self, log: UseLog, half_life: float) -> None:
        """Count what the log has new: uses that were so long ago before, and are now beyond an age."""
        fading = np.float32(0.5 ** ((log.end - self._known_to) / half_life))
        self._waited *= fading
        self._ended *= fading
        kinds = np.frombuffer(log.kinds, np.int16)
        waits = np.frombuffer(log.waits, np.int32)
        for age in range(AGES):
            from_age, to_age = BOUNDS[age], BOUNDS[age + 1]
            new = slice(
                max(self._known_to - to_age - log.start, 0),
                max(log.end - to_age - log.start, 0),
            )
            waited = waits[new] >= from_age
            ended = waited & (waits[new] < to_age)
            self._waited[:, age] += np.bincount(kinds[new][waited], minlength=KINDS)
            self._ended[:, age] += np.bincount(kinds[new][ended], minlength=KINDS)
        self._known_to = log.end

    def indices(self) -> Table:
        """Give the Gittins index of every kind at every age: uses for each request that an item is kept."""
        return gittins(self._shares())

    def _shares(self) -> npt.NDArray[np.float64]:
        """Give what share of a kind's items that wait at an age is used at it."""
        ended = self._ended.reshape(SHAPE).astype(np.float64)
        waited = self._waited.reshape(SHAPE).astype(np.float64)
        root = (ended.sum(_ALL) + DOUBT_USES * PRIOR_SHARE) / (waited.sum(_ALL) + DOUBT_USES)
        shares = np.minimum(np.broadcast_to(root * PRIOR_SHAPE, SHAPE), SHARE_MAX)
        for others in (_GAP_AND_COMPANY, _GAP):
            seen, expected = (
                counts.sum(others, keepdims=True) + DOUBT_USES for counts in (ended, waited * shares)
            )
            shares = np.minimum(shares * (seen / expected), SHARE_MAX)
        rhythms = _rhythms()
        seen, expected = (
            np.bincount(rhythms.ravel(), counts.ravel()) + DOUBT_USES for counts in (ended, waited * shares)
        )
        learnt: npt.NDArray[np.float64] = np.minimum(shares * (seen / expected)[rhythms], SHARE_MAX)
        return learnt.reshape(KINDS, AGES)


def gittins(shares: npt.NDArray[np.float64]) -> Table:
    """Give the indices of items of which such shares are used at each age, if they got that old. Shapes [kind, age]."""
    alive = np.cumprod(1 - shares, axis=1) / (1 - shares)
    used = alive * shares
    kept = (alive - used / 2) * np.diff(BOUNDS)
    # Nothing is known beyond the last age: who gives up later gives up there.
    uses, requests = (np.pad(np.cumsum(each, axis=1), ((0, 0), (1, AGES)), "edge") for each in (used, kept))
    uses[:, 0] = requests[:, 0] = 0.0
    best = np.zeros_like(shares)
    for step in _STEPS:
        later = slice(step, step + AGES)
        np.maximum(
            best, (uses[:, later] - uses[:, :AGES]) / (requests[:, later] - requests[:, :AGES]), out=best
        )
    return best.astype(np.float32)


@cache
def prior() -> Table:
    """Give the indices that hold before anything is known: the longer ago and the more seldom used, the less."""
    return gittins(np.broadcast_to(PRIOR_SHARE * PRIOR_SHAPE, SHAPE).reshape(KINDS, AGES))


@cache
def _rhythms() -> npt.NDArray[np.intp]:
    """Number the pairs of an item's number of uses and its age as a multiple of its gap; 0 where there is none."""
    octaves = np.log2(BOUNDS[:-1])[None, :] - (np.arange(GAPS) - 0.5)[:, None]
    steps = np.rint(octaves * AGES_PER_OCTAVE).astype(np.intp)
    steps -= steps.min() - 1
    rhythms = np.arange(NUMBERS)[:, None, None] * (steps.max() + 1) + steps[None]
    rhythms[:, 0] = 0
    return np.broadcast_to(rhythms[:, :, None], SHAPE)
