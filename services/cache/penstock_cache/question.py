"""What is asked and what is answered, as the workflow knows it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from servicekit.errors import DeadlineExceeded, InvalidArgument

from penstock_cache.entry import Answer, Entry, Label
from penstock_cache.partition import Partition, SharingScope


class Tier(IntEnum):
    """A level of the cache; the numbers of penstock.cache.v1.CacheTier."""

    L1 = 1


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation, the room its answer is kept in, and who asks.

    Args:
        organization: of the caller.
        user: of the caller; empty when a key acts by itself.
        deadline: when the caller stops waiting, in seconds since the epoch.
        partition: the room.
        conversation_digest: SHA-256 of the whole conversation.
        age_seconds_max: oldest answer that is good enough.
    """

    organization: str
    user: str
    deadline: float
    partition: Partition
    conversation_digest: bytes
    age_seconds_max: float = math.inf

    def admit(self, now: float) -> None:
        """Refuse what must not be looked for or kept.

        Raises:
            DeadlineExceeded: nobody waits any more.
            InvalidArgument: the room is another organization's, or a user's or team's without saying whose.
        """
        if now >= self.deadline:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the work was started.")
        if self.partition.organization != self.organization:
            raise _invalid("partition.organization", "It is not the caller's organization.")
        if self.partition.scope != SharingScope.ORGANIZATION and not self.partition.scope_id:
            raise _invalid("partition.scope_id", "A scope of a user or a team needs the id.")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to keep: what it answers, for how long, and the caller's own labels."""

    question: Question
    answer: Answer
    ttl_seconds: float
    tags: Sequence[str]

    def labels(self) -> frozenset[Label]:
        """Give all it may be forgotten by: model, prompt version, tags, who asked and who shares it."""
        question, partition = self.question, self.question.partition
        labels: set[Label] = {("tag", tag) for tag in self.tags}
        labels.add(("model", partition.model))
        if partition.prompt_version:
            labels.add(("prompt_version", partition.prompt_version))
        if question.user:
            labels.add(("user", question.user))
        if partition.scope == SharingScope.USER:
            labels.add(("user", partition.scope_id))
        return frozenset(labels)


@dataclass(frozen=True, slots=True)
class Hit:
    """A kept answer that fits. Similarity is the cosine of the two questions, 1 for exact tiers."""

    entry: Entry
    tier: Tier
    similarity: float


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", f"{field}: {message}", metadata={"field": field})
