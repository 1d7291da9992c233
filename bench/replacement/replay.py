"""Replay a trace through the cache's own memory, and through what it is compared with here."""

import heapq
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_cache.entry import Answer, Entry
from penstock_cache.memory import Memory

TENANT = "acme"
NEVER = 1e18


@dataclass(frozen=True, slots=True)
class Score:
    """What a policy found, and what it saved, as shares of all requests and of all they cost."""

    hit_ratio: float
    saved_ratio: float


def cost_of(key: int) -> int:
    """Give a key's cost in nano-dollars: from a thousandth of a cent to ten cents, the same in every run."""
    return 10 ** (4 + zlib.crc32(key.to_bytes(8, "little", signed=True)) % 5)


def penstock(keys: Sequence[int], objects: int, *, weighted: bool) -> Score:
    """Replay through `Memory`: every request looks up, every miss puts. All entries have one size."""
    costs = {key: cost_of(key) if weighted else 0 for key in set(keys)}
    entries = {
        key: Entry(_name(key), Answer(b"", cost, 0), frozenset(), 0.0, NEVER) for key, cost in costs.items()
    }
    memory = Memory(objects * next(iter(entries.values())).size_bytes)
    hits = saved = 0
    for key in keys:
        entry = entries[key]
        if memory.get(TENANT, entry.key, 0.0) is None:
            memory.put(TENANT, entry)
        else:
            hits += 1
            saved += cost_of(key)
    return Score(hits / len(keys), saved / sum(map(cost_of, keys)))


def lru(keys: Sequence[int], objects: int) -> Score:
    """Replay through an LRU, which knows no costs."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = saved = 0
    for key in keys:
        if key in held:
            held.move_to_end(key)
            hits += 1
            saved += cost_of(key)
        else:
            held[key] = None
            if len(held) > objects:
                held.popitem(last=False)
    return Score(hits / len(keys), saved / sum(map(cost_of, keys)))


def greedy_dual(keys: Sequence[int], objects: int) -> Score:
    """Replay through GreedyDual-Size-Frequency with our costs: the published policy that weighs them."""
    ranks: dict[int, float] = {}
    uses: dict[int, int] = {}
    heap: list[tuple[float, int]] = []
    inflation = 0.0
    hits = saved = 0
    for key in keys:
        if key in ranks:
            hits += 1
            saved += cost_of(key)
            uses[key] += 1
        else:
            uses[key] = 1
            while len(ranks) >= objects:
                rank, oldest = heapq.heappop(heap)
                if ranks.get(oldest) == rank:
                    del ranks[oldest], uses[oldest]
                    inflation = rank
        ranks[key] = inflation + uses[key] * cost_of(key)
        heapq.heappush(heap, (ranks[key], key))
    return Score(hits / len(keys), saved / sum(map(cost_of, keys)))


def _name(key: int) -> bytes:
    return key.to_bytes(32, "big", signed=True)
