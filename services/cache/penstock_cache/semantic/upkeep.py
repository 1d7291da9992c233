"""Learns what a room's vectors have in common and clusters them as it grows, in a thread, one room at a time."""

import asyncio

from penstock_cache.semantic.backdrop import ROWS_MIN, learn_backdrop
from penstock_cache.semantic.room import Room
from penstock_cache.semantic.vectors import Vectors, cluster, copy_of

FLAT_ROWS_MAX = 16_384  # a search through more takes longer than half a millisecond
BACKDROP_GROWTH = 2  # learnt anew when a room has grown by so much
CLUSTERS_GROWTH = 4


class Upkeep:
    """The room goes on as it is meanwhile."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def consider(self, room: Room) -> None:
        """Begin what a room has become large enough for, if nothing else is under way."""
        if self._task is not None:
            return
        if wants_clusters(room):
            self._task = asyncio.create_task(self._cluster(room))
        elif wants_backdrop(room):
            self._task = asyncio.create_task(self._learn(room))

    async def close(self) -> None:
        """Let end what cannot be stopped."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _learn(self, room: Room) -> None:
        try:
            room.rows_learnt = len(room.vectors)
            _, rows = copy_of(room.vectors)
            learnt = await asyncio.to_thread(learn_backdrop, rows)
            rows[:] = 0
            if room.rows_learnt:  # nothing was to be forgotten meanwhile
                room.backdrop = learnt
        finally:
            self._task = None

    async def _cluster(self, room: Room) -> None:
        try:
            keys, rows = copy_of(room.vectors)
            clustered = await asyncio.to_thread(cluster, keys, rows)
            rows[:] = 0
            _catch_up(clustered, keys, room.vectors)
            room.vectors = clustered
        finally:
            self._task = None


def wants_backdrop(room: Room) -> bool:
    """Tell whether a room has become large enough to learn its backdrop, or to learn it anew."""
    return len(room.vectors) >= max(ROWS_MIN, BACKDROP_GROWTH * room.rows_learnt)


def wants_clusters(room: Room) -> bool:
    """Tell whether a room has become too large to be searched as it is."""
    return len(room.vectors) > max(FLAT_ROWS_MAX, CLUSTERS_GROWTH * room.vectors.clustered_rows)


def _catch_up(clustered: Vectors, copied: list[bytes], vectors: Vectors) -> None:
    """Do what happened to the room meanwhile."""
    known = frozenset(copied)
    for key in copied:
        if key not in vectors:
            clustered.discard(key)
    for keys, rows in vectors.blocks():
        for key, row in zip(keys, rows, strict=True):
            if key not in known:
                clustered.add(key, row)
