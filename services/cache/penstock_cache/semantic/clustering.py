"""Turns a large room's vectors into clusters, in a thread, while the room goes on as it is."""

import asyncio

from penstock_cache.semantic.shard import RoomKey
from penstock_cache.semantic.vectors import Vectors, cluster, copy_of

FLAT_ROWS_MAX = 16_384  # a search through more takes longer than half a millisecond
GROWTH_MAX = 4  # clusters are made anew when a room has grown by so much


class Clustering:
    """One room at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def consider(self, rooms: dict[RoomKey, Vectors], room: RoomKey) -> None:
        """Begin to cluster a room if it has become too large for what it is."""
        vectors = rooms[room]
        if self._task is None and len(vectors) > max(FLAT_ROWS_MAX, GROWTH_MAX * vectors.clustered_rows):
            self._task = asyncio.create_task(self._cluster(rooms, room, vectors))

    async def close(self) -> None:
        """Let a clustering end that cannot be stopped."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _cluster(self, rooms: dict[RoomKey, Vectors], room: RoomKey, vectors: Vectors) -> None:
        try:
            keys, rows = copy_of(vectors)
            clustered = await asyncio.to_thread(cluster, keys, rows)
            if rooms.get(room) is vectors:
                _catch_up(clustered, keys, vectors)
                rooms[room] = clustered
            rows[:] = 0
        finally:
            self._task = None


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
