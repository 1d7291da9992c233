"""Who answers: our semantic tier, and the thresholds that others ship."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from penstock_cache.entry import Answer, Entry
from penstock_cache.semantic.backdrop import learn_backdrop
from penstock_cache.semantic.calibration import calibration
from penstock_cache.semantic.guard import RULES
from penstock_cache.semantic.room import CANDIDATES, Near
from penstock_cache.semantic.shard import SemanticShard
from penstock_cache.semantic.sketch import Sketch, sketch
from penstock_cache.semantic.upkeep import wants_backdrop
from penstock_cache.semantic.vectors import cluster, copy_of

from semantic.vectors import Vectors

OURS = "penstock"
# Restated on the same vectors. GPTCache answers when the squared distance is at most 4 less 0.8 of 4, RedisVL when the
# cosine distance is at most 0.1.
THRESHOLDS = {"cosine 0.95": 0.95, "cosine 0.85": 0.85, "GPTCache's default": 0.6, "RedisVL's default": 0.9}


class Checked(NamedTuple):
    """A kept question near the asked one, as our guard sees it."""

    kept: int
    log_odds: float
    failed: tuple[str, ...]  # rules by which it asks something else


class Found(NamedTuple):
    """What a search gave: the nearest question, the near ones checked, and the one our tier answers from."""

    nearest: int
    similarity: float
    near: list[Checked]
    ours: int | None


class Kept:
    """Kept questions, as our tier holds them."""

    def __init__(self, texts: Sequence[str], vectors: Mapping[str, Vectors]) -> None:
        self.guard_us: list[float] = []
        self._vectors = vectors
        self._sketches = [sketch(text) for text in texts]
        self._shard = SemanticShard(calibration(), 1.0)
        for place, text in enumerate(texts):
            entry = Entry(_key(place), Answer(b"", 0, 0), frozenset(), 0.0, math.inf)
            self._shard.put(_ROOM, entry, vectors[text], text)
        self._room = self._shard.rooms[_ROOM]
        if wants_backdrop(self._room):
            self._room.backdrop = learn_backdrop(copy_of(self._room.vectors)[1])

    def ask(self, text: str) -> Found:
        """Look for a question; time the guard on each candidate."""
        vector, asked = self._vectors[text], sketch(text)
        [[(nearest, similarity)]] = self._room.vectors.search(vector[None], 1)
        near = [self._check(one, asked) for one in self._room.near(vector[None])[0]]
        [found] = self._shard.find(_ROOM, vector[None], [text], 0.0)
        return Found(_place(nearest), similarity, near, _place(found[0].key) if found else None)

    def _check(self, near: Near, asked: Sketch) -> Checked:
        kept = self._sketches[_place(near.key)]
        started = time.perf_counter()
        log_odds = calibration().log_odds(asked, kept, near.distance)
        failed = tuple(name for name, differ in RULES.items() if differ(asked, kept))
        self.guard_us.append((time.perf_counter() - started) * 1e6)
        return Checked(_place(near.key), log_odds, failed)


def by_threshold(found: Found, similarity_min: float) -> int | None:
    """Answer from the nearest question if it is near enough."""
    return found.nearest if found.similarity >= similarity_min else None


def by_ours(found: Found, *, floor: float = calibration().floor, without: str = "") -> int | None:
    """Answer as our tier does, with another floor or without one rule of the guard."""
    passed = [one for one in found.near if one.log_odds >= floor and not set(one.failed) - {without}]
    return max(passed, key=lambda one: one.log_odds).kept if passed else None


def search_ms_p50(vectors: Vectors, searches: int) -> float:
    """Time searches among many vectors, clustered as a large room is."""
    rows = len(vectors)
    clustered = cluster([_key(place) for place in range(rows)], vectors)
    times = []
    for place in np.random.default_rng(1).integers(0, rows, searches):
        started = time.perf_counter()
        clustered.search(vectors[place : place + 1], CANDIDATES)
        times.append((time.perf_counter() - started) * 1e3)
    return float(np.median(times))


_ROOM = (b"room", b"", 0)


def _key(place: int) -> bytes:
    return place.to_bytes(4, "big")


def _place(key: bytes) -> int:
    return int.from_bytes(key, "big")
