"""What is kept: an answer, what it may be forgotten by, and how long it lives. Pure."""

from dataclasses import dataclass
from typing import Literal

# A second that nobody waits is worth as much as a hundredth of a cent.
NANOS_PER_MS = 100
# What an entry costs beside its body: objects, key, its places in the indexes, the expiry slots and the replacement
# policies, and their ghosts of those that left. Measured with tracemalloc in a full memory.
OVERHEAD_BYTES = 4900


# Something that entries can be forgotten by, for example ("model", "smollm2-135m-instruct").
Label = tuple[Literal["model", "prompt_version", "user", "tag"], str]
# What to forget: all that carries a label, one entry by its id, or everything.
Selector = tuple[Literal["model", "prompt_version", "user", "tag", "entry_id", "everything"], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the router wrote it; nobody here reads the body."""

    body: bytes
    cost_nanos: int
    generation_ms: int

    @property
    def worth(self) -> float:
        """Tell what giving it again saves, money and time, in nano-dollars; always something."""
        return 1.0 + self.cost_nanos + self.generation_ms * NANOS_PER_MS


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer. Times are seconds since the epoch."""

    key: bytes
    answer: Answer
    labels: frozenset[Label]
    stored_at: float
    expires_at: float

    @property
    def entry_id(self) -> str:
        """Name it to callers. The key is keyed by a secret of the organization, so it tells nothing."""
        return self.key.hex()

    @property
    def size_bytes(self) -> int:
        """Tell what it takes of the memory, bookkeeping included."""
        return len(self.answer.body) + OVERHEAD_BYTES + sum(len(value) for _, value in self.labels)


def key_of(entry_id: str) -> bytes:
    """Give the key that an entry id names; the empty one, which no entry has, for what is not an entry id."""
    try:
        return bytes.fromhex(entry_id)
    except ValueError:
        return b""
