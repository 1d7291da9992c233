"""Hashed n-grams of folded texts, by whole arrays: no loop over characters or words, so a kilobyte costs microseconds.

Every position of a text is read as one little-endian 64-bit number of the eight bytes that begin there. An n-gram of
characters is such a number cut to n bytes; a word is its first eight bytes, its last eight and its length.
The upper bits of the product with an odd constant are the bucket (Knuth 6.4; Weinberger et al. 2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
CHARACTERS = (4, 6)

Buckets = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int64]

_SHIFT = np.uint64(64 - BUCKET_BITS)
_ODD = [
    np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
]
_HALF = np.uint64(32)
_CUTS = {n: np.uint64(64 - 8 * n) for n in CHARACTERS}
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)
# So much apart, what is read at the end of one text does not reach into the next.
GAP_BYTES = 8
_GAP, _PADDING = bytes(GAP_BYTES), bytes(16)
_BEGINS = 2
_WORD_BYTES_MAX = 32


def _kinds() -> bytes:
    """Say of every byte whether it parts words (0), is of one (1), or begins one (2: CJK characters stand alone)."""
    kinds = bytearray(chr(byte).isalnum() or byte >= 0x80 for byte in range(256))  # noqa: PLR2004 - UTF-8 beyond ASCII
    kinds[0xE3:0xEA] = bytes([_BEGINS] * 7)
    return bytes(kinds)


_KINDS = _kinds()


@dataclass(frozen=True, slots=True)
class Grams:
    """The buckets of texts side by side: of characters at every byte; of words, pairs, and pairs over a gap.

    `starts` says where each word begins; what stands before the first of a text belongs to it. `begins` says where each
    text does, and `first` which word is its first. The `GAP_BYTES` before each text but the first are of none.
    """

    characters: tuple[Buckets, ...]
    words: tuple[Buckets, ...]
    starts: Positions
    begins: Positions
    first: Positions


def grams(texts: Sequence[bytes]) -> Grams:
    """Give the features of folded texts, which begin and end with a space: of each those that it has alone."""
    joined = _GAP.join(texts)
    sizes = np.array([len(text) for text in texts])
    begins = np.cumsum(sizes + GAP_BYTES) - sizes - GAP_BYTES
    eights = _eights(joined)
    starts, lengths = _words(joined)
    first = starts.searchsorted(begins)
    wordless = np.append(first[1:], starts.size) == first
    if wordless.any():  # Such a text is taken for one word.
        at = first[wordless]
        starts, lengths = np.insert(starts, at, begins[wordless]), np.insert(lengths, at, sizes[wordless])
        first = starts.searchsorted(begins)
    codes = _word_codes(eights, starts, lengths)
    here = eights[: len(joined)]
    characters = tuple(_bucket(here << cut, _ODD[n]) for n, cut in enumerate(_CUTS.values()))
    starts[first] = begins
    return Grams(characters, _word_buckets(codes, first), starts, begins, first)


def _eights(text: bytes) -> npt.NDArray[np.uint64]:
    """Read the eight bytes at each position, zeros beyond the end."""
    windows = np.ndarray((len(text) + 8,), "<u8", text + _PADDING, strides=(1,))
    return np.ascontiguousarray(windows)


def _words(text: bytes) -> tuple[Positions, Positions]:
    """Give where words begin and how many bytes they are long; what is too long for a word is several."""
    kinds = np.frombuffer(text.translate(_KINDS), np.uint8)
    inside = kinds.astype(np.bool_)
    edges = (inside[1:] != inside[:-1]).nonzero()[0] + 1
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    if not starts.size or (kinds.max() < _BEGINS and lengths.max() <= _WORD_BYTES_MAX):
        return starts, lengths
    return _cut(starts, ends, np.flatnonzero(kinds == _BEGINS))


def _cut(starts: Positions, ends: Positions, alone: Positions) -> tuple[Positions, Positions]:
    """Cut words where characters stand alone, and what is longer than a word every so many bytes."""
    long = np.flatnonzero(ends - starts > _WORD_BYTES_MAX)
    pieces = [np.arange(starts[each], ends[each], _WORD_BYTES_MAX) for each in long]
    parts = np.unique(np.concatenate([starts, alone, *pieces]))
    word_ends = ends[np.searchsorted(ends, parts, "right")]
    return parts, np.minimum(word_ends, np.append(parts[1:], ends[-1])) - parts


def _word_codes(eights: npt.NDArray[np.uint64], starts: Positions, lengths: Positions) -> Any:
    first = eights[starts] & _MASKS[np.minimum(lengths, 8)]
    last = eights[starts + np.maximum(lengths - 8, 0)] * (lengths > 8)  # noqa: PLR2004
    codes = (first * _ODD[0]) + (last * _ODD[1])
    return codes ^ (codes >> _HALF)


def _word_buckets(codes: Any, first: Positions) -> tuple[Buckets, ...]:
    before = codes * _ODD[1]
    pairs, over = before.copy(), before.copy()
    pairs[:-1] += codes[1:]
    over[:-2] += codes[2:]
    # The last word of a text has none after it, and the last two none after the next.
    last = np.append(first[1:], codes.size) - 1
    pairs[last] = before[last]
    over[last] = before[last]
    over[last - 1] = before[last - 1]
    return _bucket(codes, _ODD[3]), _bucket(pairs, _ODD[2]), _bucket(over, _ODD[0])


def _bucket(codes: Any, odd: np.uint64) -> Buckets:
    return ((codes * odd) >> _SHIFT).view(np.int64)  # type: ignore[no-any-return]
