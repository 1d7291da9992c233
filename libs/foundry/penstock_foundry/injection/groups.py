"""Near-duplicates: texts that share most of their words in order are one group, which no folds share.

Two texts are near when one of their bands of MinHash values over word triples agrees (Broder 1997).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BANDS = 12
_ROWS = 2
_TRIPLE = 3
_PRIME = (1 << 61) - 1

Hashes = npt.NDArray[np.uint64]


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """Give every text the number of its group, the position of the group's first text."""
    parents = list(range(len(texts)))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    first_with: dict[tuple[int, bytes], int] = {}
    for position, text in enumerate(texts):
        for band in enumerate(_bands(text)):
            other = first_with.setdefault(band, position)
            low, high = sorted((root(other), root(position)))
            parents[high] = low
    return [root(position) for position in range(len(texts))]


def _bands(text: str) -> list[bytes]:
    values = _signature(_shingles(text))
    return [values[band * _ROWS : (band + 1) * _ROWS].tobytes() for band in range(_BANDS)]


def _shingles(text: str) -> Hashes:
    words = "".join(character if character.isalnum() else " " for character in text.lower()).split()
    triples = {" ".join(words[at : at + _TRIPLE]) for at in range(max(1, len(words) - _TRIPLE + 1))}
    digests = [hashlib.blake2b(triple.encode(), digest_size=8).digest() for triple in sorted(triples)]
    return np.frombuffer(b"".join(digests), np.uint64)


def _signature(shingles: Hashes) -> Hashes:
    rng = np.random.default_rng(20)
    odd = rng.integers(1, _PRIME, _BANDS * _ROWS, dtype=np.uint64) | np.uint64(1)
    mixed = shingles[None, :] * odd[:, None]
    smallest: Hashes = (mixed ^ (mixed >> np.uint64(31))).min(axis=1)
    return smallest
