"""What training sees: the rows of every token that is scored, its label, and which words are never names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from penstock_guardrail.canonical import view_of
from penstock_guardrail.tokens import ROWS_BITS, Ints, Tokens, rows_of, tokens_of

from penstock_foundry.names.corpus import Example

_LABELS = {
    **dict.fromkeys(("PERSON",), 1),
    **dict.fromkeys(("LOCATION", "ADDRESS", "GPE", "STREET_ADDRESS", "ZIP_CODE"), 2),
    **dict.fromkeys(("ORGANIZATION",), 3),
    **dict.fromkeys(("TITLE", "PREFIX"), 4),
}
_NOT_LEARNT = -1
_COMMON_TIMES_MIN = 3
# In small letters a common word is a name in one of so many cases at most.
_COMMON_TO_NAMED_MIN = 10

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is learnt from: rows by features and tokens, and a label for each token."""

    rows: Ints
    labels: npt.NDArray[np.int64]


def matrix_of(examples: Sequence[Example], is_common: Flags | None) -> Matrix:
    """Describe all tokens that are scored; without common words, all that are labelled."""
    rows, labels = [], []
    for example in examples:
        tokens, truth = _read(example)
        kept = truth != _NOT_LEARNT
        if is_common is not None:
            kept &= ~tokens.is_long & ~tokens.is_sign
            kept &= ~(tokens.is_lower & is_common[tokens.word_rows()])
        chosen = np.flatnonzero(kept)
        if tokens.number:
            rows.append(rows_of(tokens, chosen))
            labels.append(truth[chosen])
    return Matrix(np.concatenate(rows, axis=1), np.concatenate(labels))


def common_words(examples: Sequence[Example]) -> Flags:
    """Find the words that are, in small letters, never names."""
    times: Counter[int] = Counter()
    named: Counter[int] = Counter()
    for example in examples:
        tokens, truth = _read(example)
        each = zip(tokens.word_rows().tolist(), truth.tolist(), tokens.is_lower.tolist(), strict=True)
        for row, label, lower in each:
            (named if label > 0 else times)[row] += lower
    is_common = np.zeros(1 << ROWS_BITS, np.bool_)
    common = [
        row
        for row, count in times.items()
        if count >= _COMMON_TIMES_MIN and named[row] * _COMMON_TO_NAMED_MIN < count
    ]
    is_common[common] = True
    return is_common


def _read(example: Example) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """Give the tokens of a text, and the label of each."""
    view = view_of(example.text)
    tokens = tokens_of(view.characters)
    truth = np.zeros(tokens.number, np.int64)
    for at, (first, last) in enumerate(zip(tokens.starts, tokens.ends, strict=True)):
        start, end = view.starts[first], view.ends[last - 1]
        for span_start, span_end, kind in example.spans:
            if start < span_end and end > span_start:
                truth[at] = _LABELS.get(kind, _NOT_LEARNT)
    return tokens, truth
