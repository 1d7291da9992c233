"""Score a folded text: the strongest of its windows, so that an attack weighs as much in a book as alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from penstock_guardrail.injection.features import Grams, grams

# A longer text is judged in blocks of so many bytes that overlap by more than a window.
BLOCK_BYTES = 4096
WINDOW_WORDS = 32
STRIDE_WORDS = 16
# Characters overlap and are many: each counts for less than a word.
CHARACTER_VALUE = 0.5
_WORDS_MIN = 4
_OVERLAP_BYTES = 512

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a folded text, in bytes, and its score."""

    score: float
    start: int
    end: int


@lru_cache(maxsize=4096)
def windows(words: int) -> tuple[Positions, Positions, npt.NDArray[np.float64]]:
    """Give the first word of each window over so many words, where it ends, and what a feature in it counts."""
    starts = np.arange(0, max(words - WINDOW_WORDS, 0) + STRIDE_WORDS, STRIDE_WORDS)
    starts = np.minimum(starts, max(words - WINDOW_WORDS, 0))
    ends = np.minimum(starts + WINDOW_WORDS, words)
    return starts, ends, 1 / np.sqrt(np.maximum(ends - starts, _WORDS_MIN))


def strongest(buckets: npt.NDArray[np.float32], block: bytes) -> Window:
    """Give the window with the highest score of a block, which begins and ends with a space."""
    found = grams(block)
    words = found.starts.size
    sums = np.zeros(words + 1)
    np.cumsum(_by_word(buckets, found), out=sums[1:])
    starts, ends, values = windows(words)
    scores = (sums[ends] - sums[starts]) * values
    best = int(scores.argmax())
    first, last = int(starts[best]), int(ends[best])
    end = int(found.starts[last]) if last < words else len(block)
    return Window(float(scores[best]), int(found.starts[first]), end)


def blocks(text: bytes) -> Iterator[tuple[int, int]]:
    """Cut a folded text into blocks, at spaces where there are any."""
    start = 0
    while len(text) - start > BLOCK_BYTES:
        limit = start + BLOCK_BYTES
        end = text.rfind(b" ", limit - _OVERLAP_BYTES, limit) + 1 or limit
        yield start, end
        start = max(text.rfind(b" ", start, end - _OVERLAP_BYTES), end - 2 * _OVERLAP_BYTES)
    yield start, len(text)


def _by_word(buckets: npt.NDArray[np.float32], found: Grams) -> npt.NDArray[np.float32]:
    characters = buckets[found.characters[0]]
    for each in found.characters[1:]:
        characters += buckets[each]
    by_word = np.add.reduceat(characters, found.starts)
    by_word *= np.float32(CHARACTER_VALUE)
    for each in found.words:
        by_word += buckets[each]
    return by_word
