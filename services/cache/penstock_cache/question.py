"""What is asked and what is answered, as the workflow knows it. Pure."""

import math
from enum import IntEnum
from typing import NamedTuple

from servicekit.errors import DeadlineExceeded, InvalidArgument

from penstock_cache.entry import Answer, Entry, Label
from penstock_cache.partition import Room, SharingScope
from penstock_cache.policy import Circumstances


class Tier(IntEnum):
    """A level of the cache; the numbers of penstock.cache.v1.CacheTier."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4


class Question(NamedTuple):
    """A conversation, the room its answer is kept in, and who asks.

    Args:
        organization: of the caller.
        user: of the caller; empty when a key acts by itself.
        deadline: when the caller stops waiting, in seconds since the epoch.
        room: where to look.
        key: of the answer, under the room's secret.
        age_seconds_max: oldest answer that is good enough.
        query_text: the last user turn; empty: exact tiers only.
        history_digest: SHA-256 of the conversation before it; empty: none.
        exact_only: whether the text is not to be matched by meaning.
        ahead: whether nobody asked yet.
    """

    organization: str
    user: str
    deadline: float
    room: Room
    key: bytes
    age_seconds_max: float = math.inf
    query_text: str = ""
    history_digest: bytes = b""
    exact_only: bool = False
    ahead: bool = False

    def admit(self, now: float) -> None:
        """Refuse what must not be looked for or kept.

        Raises:
            DeadlineExceeded: nobody waits any more.
            InvalidArgument: the room is another organization's, or a user's or team's without saying whose.
        """
        if now >= self.deadline:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the work was started.")
        partition = self.room.partition
        if partition.organization != self.organization:
            raise _invalid("partition.organization", "It is not the caller's organization.")
        if partition.scope != SharingScope.ORGANIZATION and not partition.scope_id:
            raise _invalid("partition.scope_id", "A scope of a user or a team needs the id.")


class Answered(NamedTuple):
    """An answer to keep: what it answers, for how long, and the caller's own labels."""

    question: Question
    answer: Answer
    ttl_seconds: float
    tags: tuple[str, ...]
    circumstances: Circumstances = Circumstances()

    def labels(self) -> frozenset[Label]:
        """Give all it may be forgotten by: model, prompt version, tags, who asked and who shares it."""
        own: list[Label] = [("tag", tag) for tag in self.tags]
        if self.question.user:
            own.append(("user", self.question.user))
        labels = self.question.room.labels
        return labels.union(own) if own else labels


class Hit(NamedTuple):
    """A kept answer that fits.

    Args:
        entry: the answer.
        tier: that had it.
        similarity: cosine of the two questions, 1 for exact tiers.
        confidence: probability that it fits, 1 for exact tiers.
        held_back: it is not given but checked: to the caller it is a miss.
    """

    entry: Entry
    tier: Tier
    similarity: float
    confidence: float = 1.0
    held_back: bool = False


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", f"{field}: {message}", metadata={"field": field})
