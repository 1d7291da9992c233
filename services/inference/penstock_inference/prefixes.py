"""Remember which prompts the slots' KV begins with, so that a repeated beginning is copied and not computed again.

Whole blocks of a prompt are shared. A block's name is a hash of its tokens, of the blocks before it and of its
partition: only prompts of one organization share, since how fast an answer comes would tell another what was asked, and
only those that the same adapter reads.
"""

import hashlib
from array import array
from collections import defaultdict
from itertools import takewhile
from typing import NamedTuple

_HASH_BYTES = 16  # two blocks of one name do not happen


def hash_blocks(partition: str, prompt: list[int], block_tokens: int) -> list[bytes]:
    """Name the blocks of a prompt that another may share: all whole ones before its last two tokens.

    Two, because engines read a token that comes alone in another way (decision 10).
    """
    name = hashlib.blake2b(partition.encode(), digest_size=_HASH_BYTES).digest()
    tokens, names = array("i", prompt), []
    for end in range(block_tokens, len(prompt) - 1, block_tokens):
        block = tokens[end - block_tokens : end].tobytes()
        name = hashlib.blake2b(block, key=name, digest_size=_HASH_BYTES).digest()
        names.append(name)
    return names


class Prefix(NamedTuple):
    """Rows at the beginning of a slot that a prompt can use."""

    slot: int
    rows: int


class SlotPrefixes:
    """What each slot begins with, also after its sequence has ended."""

    def __init__(self, slots: int, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._prompts: list[list[bytes]] = [[] for _ in range(slots)]  # what is or will be in the slot
        self._blocks = [0] * slots  # how much of it is computed
        self._slots: defaultdict[bytes, set[int]] = defaultdict(set)  # that hold a block
        self._used = [0] * slots  # when, in order
        self._uses = 0

    def find(self, names: list[bytes]) -> Prefix:
        """Find the longest shared beginning of a prompt whose blocks have these names."""
        held = list(takewhile(self._slots.__contains__, names))
        if not held:
            return Prefix(0, 0)
        slot = max(self._slots[held[-1]], key=self._used.__getitem__)
        return Prefix(slot, len(held) * self._block_tokens)

    def value(self, slot: int) -> tuple[bool, int]:
        """Order slots by what is lost when one is taken: those without a block first, then the longest unused."""
        return self._blocks[slot] > 0, self._used[slot] if self._blocks[slot] else 0

    def begin(self, slot: int, names: list[bytes], rows: int) -> None:
        """Note that a slot is now a prompt's, whose first rows are there already."""
        self._forget(slot)
        self._prompts[slot] = names
        self._uses += 1
        self._used[slot] = self._uses
        self.extend(slot, rows)

    def extend(self, slot: int, rows: int) -> None:
        """Note how much of the slot's prompt is computed."""
        names, done = self._prompts[slot], self._blocks[slot]
        blocks = min(rows // self._block_tokens, len(names))
        for name in names[done:blocks]:
            self._slots[name].add(slot)
        self._blocks[slot] = max(blocks, done)

    def move(self, source: int, target: int) -> None:
        """Note that a slot's rows were copied over another's."""
        self.begin(target, self._prompts[source], self._blocks[source] * self._block_tokens)

    def clear(self) -> None:
        """Forget everything: the slots may hold anything."""
        slots = len(self._prompts)
        self._prompts, self._blocks = [[] for _ in range(slots)], [0] * slots
        self._slots.clear()

    def check_integrity(self) -> None:
        """Assert that the index says what the slots hold, and nothing else."""
        held: defaultdict[bytes, set[int]] = defaultdict(set)
        for slot, names in enumerate(self._prompts):
            for name in names[: self._blocks[slot]]:
                held[name].add(slot)
        assert held == self._slots

    def _forget(self, slot: int) -> None:
        for name in self._prompts[slot][: self._blocks[slot]]:
            self._slots[name].discard(slot)
            if not self._slots[name]:
                del self._slots[name]
        self._prompts[slot], self._blocks[slot] = [], 0
