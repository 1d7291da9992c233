"""Rooms as callers name them: they come again and again, so one that was read before is found by its bytes."""

from functools import lru_cache

from penstock.cache.v1.cache_entry_pb2 import Partition as WirePartition

from penstock_cache.partition import Room, RoomKeys
from penstock_cache.wire import read_partition

ROOMS_MAX = 4096


class Rooms:
    """Makes rooms, and remembers those of late."""

    def __init__(self, keys: RoomKeys) -> None:
        self._room = lru_cache(ROOMS_MAX)(
            lambda wire: keys.room(read_partition(WirePartition.FromString(wire)))
        )

    def read(self, wire: WirePartition) -> Room:
        """Give the room of a partition."""
        room: Room = self._room(wire.SerializeToString())
        return room

    def forget(self) -> None:
        """Forget the rooms of late: they name users and organizations."""
        self._room.cache_clear()
