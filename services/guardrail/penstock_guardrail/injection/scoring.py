"""Score folded texts: the strongest of their windows, so that an attack weighs as much in a book as alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from penstock_guardrail.injection.features import GAP_BYTES, Grams, grams

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


class Scored:
    """The windows of some blocks, each of which begins and ends with a space. Blocks are scored in one go: O(bytes)."""

    def __init__(self, buckets: npt.NDArray[np.float32], blocks: Sequence[bytes]) -> None:
        self._blocks = blocks
        self._grams = found = grams(blocks)
        words = found.starts.size
        per_block = [windows(count) for count in np.diff(found.first, append=words).tolist()]
        counts = [values.size for _, _, values in per_block]
        offsets = found.first.repeat(counts)
        starts, ends, values = map(np.concatenate, zip(*per_block, strict=True))
        self._firsts, self._lasts = starts + offsets, ends + offsets
        sums = np.zeros(words + 1)
        np.cumsum(_by_word(buckets, found), out=sums[1:])
        self._scores = (sums[self._lasts] - sums[self._firsts]) * values
        self._rows = [0, *accumulate(counts)]

    def best(self) -> list[float]:
        """Give the score of the strongest window of each block."""
        found: list[float] = np.maximum.reduceat(self._scores, self._rows[:-1]).tolist()
        return found

    def strongest(self, block: int) -> Window:
        """Give the strongest window of a block."""
        row = self._rows[block]
        best = row + int(self._scores[row : self._rows[block + 1]].argmax())
        begin, size = int(self._grams.begins[block]), len(self._blocks[block])
        bounds = np.append(self._grams.starts, begin + size)
        first, last = int(bounds[self._firsts[best]]), int(bounds[self._lasts[best]])
        return Window(float(self._scores[best]), first - begin, min(last - begin, size))


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
    characters = buckets.take(found.characters[0])
    for each in found.characters[1:]:
        characters += buckets.take(each)
    for begin in found.begins[1:].tolist():
        characters[begin - GAP_BYTES : begin] = 0
    by_word: npt.NDArray[np.float32] = np.add.reduceat(characters, found.starts)
    by_word *= np.float32(CHARACTER_VALUE)
    for each in found.words:
        by_word += buckets.take(each)
    return by_word
