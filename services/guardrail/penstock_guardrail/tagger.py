"""Which words are names of persons, places or organisations, or titles: a linear model of a word and its neighbours."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

import numpy as np
import numpy.typing as npt

from penstock_guardrail.tokens import Ints, Tokens, rows_of

# Names in small letters are rare: they must score this much more.
_SMALL_MARGIN = np.float32(1.5)

Labels = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float32]

LABELS = ("", "PERSON", "LOCATION", "ORGANIZATION", "TITLE")


@dataclass(frozen=True)
class Weights:
    """A trained model.

    Args:
        scores: [rows, labels without the first], float32.
        is_common: by word row, whether a word in small letters is never a name.
        margin: what the likeliest label must score above none.
    """

    scores: npt.NDArray[np.float32]
    is_common: npt.NDArray[np.bool_]
    margin: float

    def named(self, tokens: Tokens) -> tuple[Ints, Labels, Scores]:
        """Give which tokens have a label, the label as a position in LABELS, and how far it scores above none."""
        passed = self.is_common.take(tokens.word_rows())
        passed &= tokens.is_lower
        passed |= tokens.is_sign
        passed |= tokens.is_long
        chosen: Ints = (~passed).nonzero()[0]
        sums = np.add.reduce(self.scores.take(rows_of(tokens, chosen), axis=0))
        best = np.maximum.reduce(np.ascontiguousarray(sums.T))
        above = (best > self.margin + _SMALL_MARGIN * tokens.is_lower.take(chosen)).nonzero()[0]
        return chosen.take(above), sums.take(above, axis=0).argmax(axis=1) + 1, best.take(above)


@cache
def shipped() -> Weights:
    """Read the model that ships with the package, once."""
    content = files("penstock_guardrail").joinpath("names.npz").read_bytes()
    with np.load(BytesIO(content)) as stored:
        scores = stored["scores"].astype(np.float32) * stored["scale"]
        return Weights(scores, np.unpackbits(stored["is_common"]).astype(np.bool_), float(stored["margin"]))
