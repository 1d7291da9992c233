"""Remember which prompts the slots' KV begins with, so that a repeated beginning is copied and not computed again.

Only whole chunks are shared, computed at the same place of the prompt: a copied row has the bits that computing it
again would give, so an answer is the same with or without. A chunk's name is a hash of its tokens, of the chunks before
it and of its partition: only prompts of one organization share, since how fast an answer comes would tell another what
was asked, and only those that the same adapter reads.
"""

import hashlib
from array import array
from collections import defaultdict
from typing import NamedTuple

_HASH_BYTES = 16  # two chunks of one name do not happen


def hash_chunks(partition: str, prompt: list[int], chunk_tokens: int) -> list[bytes]:
    """Name the chunks of a prompt that another may share: all whole ones but its last token's."""
    name = hashlib.blake2b(partition.encode(), digest_size=_HASH_BYTES).digest()
    tokens, names = array("i", prompt), []
    for start in range(0, (len(prompt) - 1) // chunk_tokens * chunk_tokens, chunk_tokens):
        chunk = tokens[start : start + chunk_tokens].tobytes()
        name = hashlib.blake2b(chunk, key=name, digest_size=_HASH_BYTES).digest()
        names.append(name)
    return names


class Prefix(NamedTuple):
    """Rows at the beginning of a slot that a prompt can use."""

    slot: int
    rows: int


class SlotPrefixes:
    """What each slot begins with, also after its sequence has ended."""

    def __init__(self, slots: int, chunk_tokens: int) -> None:
        self._chunk_tokens = chunk_tokens
        self._prompts: list[list[bytes]] = [[] for _ in range(slots)]  # what is or will be in the slot
        self._chunks = [0] * slots  # how much of it is computed
        self._slots: defaultdict[bytes, set[int]] = defaultdict(set)  # that hold a chunk
        self._used = [0] * slots  # when, in order
        self._uses = 0

    def find(self, names: list[bytes]) -> Prefix:
        """Find the longest shared beginning of a prompt whose chunks have these names."""
        best = Prefix(0, 0)
        for chunks, name in enumerate(names, 1):
            slots = self._slots.get(name)
            if not slots:
                break
            best = Prefix(max(slots, key=self._used.__getitem__), chunks * self._chunk_tokens)
        return best

    def value(self, slot: int) -> tuple[bool, int]:
        """Order slots by what is lost when one is taken: those without a chunk first, then the longest unused."""
        return self._chunks[slot] > 0, self._used[slot] if self._chunks[slot] else 0

    def begin(self, slot: int, names: list[bytes], rows: int) -> None:
        """Note that a slot is now a prompt's, whose first rows are there already."""
        self._forget(slot)
        self._prompts[slot] = names
        self._uses += 1
        self._used[slot] = self._uses
        self.extend(slot, rows)

    def extend(self, slot: int, rows: int) -> None:
        """Note how much of the slot's prompt is computed."""
        names, done = self._prompts[slot], self._chunks[slot]
        chunks = min(rows // self._chunk_tokens, len(names))
        for name in names[done:chunks]:
            self._slots[name].add(slot)
        self._chunks[slot] = max(chunks, done)

    def move(self, source: int, target: int) -> None:
        """Note that a slot's rows were copied over another's."""
        self.begin(target, self._prompts[source], self._chunks[source] * self._chunk_tokens)

    def clear(self) -> None:
        """Forget everything: the slots may hold anything."""
        slots = len(self._prompts)
        self._prompts, self._chunks = [[] for _ in range(slots)], [0] * slots
        self._slots.clear()

    def check_integrity(self) -> None:
        """Assert that the index says what the slots hold, and nothing else."""
        held: defaultdict[bytes, set[int]] = defaultdict(set)
        for slot, names in enumerate(self._prompts):
            for name in names[: self._chunks[slot]]:
                held[name].add(slot)
        assert held == self._slots

    def _forget(self, slot: int) -> None:
        for name in self._prompts[slot][: self._chunks[slot]]:
            self._slots[name].discard(slot)
            if not self._slots[name]:
                del self._slots[name]
        self._prompts[slot], self._chunks[slot] = [], 0
