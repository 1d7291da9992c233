"""What training sees of examples: the buckets of every window of every text, as one flat matrix, and the signals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from penstock_guardrail.injection import scoring
from penstock_guardrail.injection.features import grams
from penstock_guardrail.injection.folding import folded
from penstock_guardrail.injection.signals import NAMES, Signals

from penstock_foundry.injection.corpus import Example

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Design:
    """Rows are windows: `buckets[begins[r]:begins[r + 1]]`, counting `values`; `first` is each text's first row."""

    buckets: Integers
    values: Floats
    begins: Integers
    first: Integers
    signals: Floats

    def rows_of(self, texts: Integers) -> Integers:
        """Give the rows of some texts, in order."""
        ends = np.append(self.first[1:], len(self.begins) - 1)
        return np.concatenate([np.arange(self.first[text], ends[text]) for text in texts])


def design(examples: Sequence[Example]) -> Design:
    """Take the features of all examples."""
    rows, counts, signals = [], [], np.zeros((len(examples), len(NAMES)), np.float32)
    finder = Signals()
    for position, example in enumerate(examples):
        view = _first_block(folded(example.text))
        signals[position, finder.found_in(example.text, view)] = 1
        own = list(_rows(view))
        rows += own
        counts.append(len(own))
    sizes = [buckets.size for buckets, _ in rows]
    return Design(
        buckets=np.concatenate([buckets for buckets, _ in rows]),
        values=np.concatenate([values for _, values in rows]).astype(np.float32),
        begins=np.append(0, np.cumsum(sizes)),
        first=np.append(0, np.cumsum(counts)[:-1]),
        signals=signals,
    )


def _first_block(view: bytes) -> bytes:
    """Leave out what follows in long texts: it is more of the same."""
    _, end = next(scoring.blocks(view))
    return b" %b " % view[:end].strip()


def _rows(view: bytes) -> Iterator[tuple[Integers, npt.NDArray[np.float64]]]:
    found = grams([view])
    bounds = np.append(found.starts, len(view))
    for start, end, value in zip(*scoring.windows(found.starts.size), strict=True):
        characters = [each[bounds[start] : bounds[end]] for each in found.characters]
        words = [each[start:end] for each in found.words]
        shares = np.full(sum(each.size for each in characters), value * scoring.CHARACTER_VALUE)
        yield (
            np.concatenate([*characters, *words]),
            np.append(shares, np.full(len(words) * (end - start), value)),
        )
