"""How well the model does on wordings that it has not seen."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from penstock_foundry.names.corpus import Example
from penstock_foundry.names.design import common_words, matrix_of
from penstock_foundry.names.training import trained

_BETA_2 = 4


@dataclass(frozen=True, slots=True)
class Held:
    """The tokens of texts that were left out: their scores by label, and what they are."""

    sums: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def shares(self, margin: float) -> dict[str, float]:
        """Tell precision, recall, F2 and how many named tokens got the right type, by token."""
        said, right = self.sums.max(axis=1) > margin, self.labels > 0
        typed = said & right & (self.sums.argmax(axis=1) + 1 == self.labels)
        precision, recall = (said & right).sum() / said.sum(), (said & right).sum() / right.sum()
        f2 = (1 + _BETA_2) * precision * recall / (_BETA_2 * precision + recall)
        return {
            "precision": float(precision),
            "recall": float(recall),
            "F2": float(f2),
            "right type": float(typed.sum() / right.sum()),
        }


def cross_validated(
    labelled: Sequence[Example], folds: int, gather: Callable[[Sequence[Example], int], Sequence[Example]]
) -> Held:
    """Score each text by a model that was trained on other wordings."""
    parts = list(_folds(labelled, folds, gather))
    return Held(
        np.concatenate([each.sums for each in parts]), np.concatenate([each.labels for each in parts])
    )


def _folds(
    labelled: Sequence[Example], folds: int, gather: Callable[[Sequence[Example], int], Sequence[Example]]
) -> Iterator[Held]:
    groups = defaultdict(list)
    for example in labelled:
        groups[example.group].append(example)
    names = sorted(groups)
    Random(1).shuffle(names)  # noqa: S311 - no secret
    for fold in range(folds):
        held = set(names[fold::folds])
        learnt = gather([each for each in labelled if each.group not in held], fold)
        is_common = common_words(learnt)
        scores = trained(matrix_of(learnt, is_common), fold)
        tested = matrix_of([each for name in sorted(held) for each in groups[name]], is_common)
        yield Held(scores[tested.rows].sum(axis=0), tested.labels)
