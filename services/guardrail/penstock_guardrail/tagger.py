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

Labels = npt.NDArray[np.int8]
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

    def labels(self, tokens: Tokens) -> tuple[Labels, Scores]:
        """Give the label of each token, as a position in LABELS, and how far it scores above none."""
        labels = np.zeros(len(tokens), np.int8)
        scores = np.zeros(len(tokens), np.float32)
        chosen: Ints = np.flatnonzero(
            ~(tokens.is_long | tokens.is_sign | tokens.is_lower & self.is_common.take(tokens.word_rows()))
        )
        if len(chosen):
            sums = self.scores.take(rows_of(tokens, chosen), axis=0).sum(axis=0)
            best = sums.max(axis=1)
            margin = self.margin + _SMALL_MARGIN * tokens.is_lower[chosen]
            labels[chosen] = np.where(best > margin, sums.argmax(axis=1) + 1, 0)
            scores[chosen] = best
        return labels, scores


@cache
def shipped() -> Weights:
    """Read the model that ships with the package, once."""
    content = files("penstock_guardrail").joinpath("names.npz").read_bytes()
    with np.load(BytesIO(content)) as stored:
        scores = stored["scores"].astype(np.float32) * stored["scale"]
        return Weights(scores, np.unpackbits(stored["is_common"]).astype(np.bool_), float(stored["margin"]))
