"""How sure it is that two questions that pass the guard have one answer: a logistic regression.

Pure but for its file, which is read once. `models/cache-guard/README.md` says what it was cast from, and how well it
does.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from penstock_cache.semantic.sketch import Sketch

FEATURES = ("distance", "length", "only_asked", "only_kept")
# The least log-odds of questions whose words are the same but for fillers ("Hi, … please"), however far apart an
# encoder puts them: 99 %. All 248 such pairs of BANKING77 ask the same; the labels of seven say otherwise.
SAME_WORDS = 4.6


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights by feature, in the order of FEATURES; `floor` is the log-odds from which an answer is given."""

    bias: float
    weights: tuple[float, ...]
    floor: float

    def log_odds(self, asked: Sketch, kept: Sketch, distance: float) -> float:
        """Give the log-odds that the kept question's answer fits the asked one."""
        values = features(asked, kept, distance)
        odds = self.bias + sum(weight * value for weight, value in zip(self.weights, values, strict=True))
        return max(odds, SAME_WORDS) if asked.plain == kept.plain else odds


def features(asked: Sketch, kept: Sketch, distance: float) -> tuple[float, ...]:
    """Give what the regression reads.

    `distance` is √(1 − cosine) of what is not common to the room; `length` the log of the shorter question's words, as
    the same distance means more the more there is to compare; `only_asked` and `only_kept` the shares of subject words
    that the other does not have.
    """
    words = min(len(asked.words), len(kept.words))
    mine, theirs = frozenset(asked.content), frozenset(kept.content)
    return (
        distance,
        math.log1p(words),
        len(mine - theirs) / max(1, len(mine)),
        len(theirs - mine) / max(1, len(theirs)),
    )


def probability(log_odds: float) -> float:
    """Turn log-odds into a probability."""
    return 1.0 / (1.0 + math.exp(-log_odds))


@cache
def calibration() -> Calibration:
    """Read the weights that ship with the cache; the same object every time."""
    stored = json.loads((files(__package__) / "calibration.json").read_text("utf-8"))
    weights = tuple(stored["weights"][name] for name in FEATURES)
    return Calibration(stored["bias"], weights, stored["floor"])
