"""The workflow, the file to read first: what happens to questions, to answers, and to wishes to forget.

A question is admitted, its key is made, and the tiers are asked in order. An answer is admitted and kept by
each tier that has room for it. Forgetting reaches every tier. Lists go in and come out; an item fails alone.
"""

from collections.abc import Sequence

from servicekit.errors import ResourceExhausted, ServiceError

from penstock_cache.entry import Entry, Label, key_of
from penstock_cache.instruments import Lookups
from penstock_cache.memory import Memory
from penstock_cache.partition import answer_key
from penstock_cache.question import Answered, Hit, Question, Tier

NOT_KEPT = ""


class AnswerCache:
    """Answers from memory.

    Args:
        memory: the L1 tier.
        root_secret: what all keys are derived from, 32 bytes.
        lookups: counts hits and misses.
        answer_bytes_max: the largest body that is kept.
        ttl_seconds_max: how long an answer is kept at most.
    """

    def __init__(
        self,
        memory: Memory,
        root_secret: bytes,
        lookups: Lookups,
        *,
        answer_bytes_max: int,
        ttl_seconds_max: float,
    ) -> None:
        self._memory = memory
        self._root_secret = root_secret
        self._lookups = lookups
        self._answer_bytes_max = answer_bytes_max
        self._ttl_seconds_max = ttl_seconds_max

    def look_up(self, questions: Sequence[Question], now: float) -> list[Hit | ServiceError | None]:
        """Answer each question from memory; None is a miss."""
        results: list[Hit | ServiceError | None] = []
        hits = misses = 0
        for question in questions:
            try:
                hit = self._find(question, now)
            except ServiceError as error:
                results.append(error)
                continue
            results.append(hit)
            if hit is None:
                misses += 1
            else:
                hits += 1
        self._lookups.count(Tier.L1, hits, misses)
        return results

    def keep(self, answers: Sequence[Answered], now: float) -> list[str | ServiceError]:
        """Keep each answer and give its entry id, NOT_KEPT when there was no room or no time left for it."""
        results: list[str | ServiceError] = []
        for answered in answers:
            try:
                results.append(self._keep(answered, now))
            except ServiceError as error:
                results.append(error)
        return results

    def forget_entry(self, organization: str, entry_id: str) -> int:
        """Forget one entry in every tier; give how many there were."""
        return self._memory.discard(organization, key_of(entry_id))

    def forget_labelled(self, organization: str, label: Label) -> int:
        """Forget what carries a label in every tier; give how many entries."""
        return self._memory.forget(organization, label)

    def forget_everything(self, organization: str) -> int:
        """Forget an organization in every tier; give how many entries."""
        return self._memory.forget_all(organization)

    def _find(self, question: Question, now: float) -> Hit | None:
        question.admit(now)
        entry = self._memory.get(question.organization, self._key(question), now, question.age_seconds_max)
        return None if entry is None else Hit(entry, Tier.L1, similarity=1.0)

    def _keep(self, answered: Answered, now: float) -> str:
        question = answered.question
        question.admit(now)
        self._check_size(len(answered.answer.body))
        ttl_seconds = min(answered.ttl_seconds, self._ttl_seconds_max)
        if ttl_seconds <= 0:
            return NOT_KEPT
        entry = Entry(self._key(question), answered.answer, answered.labels(), now, now + ttl_seconds)
        return entry.entry_id if self._memory.put(question.organization, entry) else NOT_KEPT

    def _key(self, question: Question) -> bytes:
        return answer_key(self._root_secret, question.partition, question.conversation_digest)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._answer_bytes_max:
            raise ResourceExhausted(
                "OVERLOADED",
                f"The answer has {size_bytes} bytes; at most {self._answer_bytes_max} are kept.",
                metadata={"queue": "l1", "limit": str(self._answer_bytes_max)},
            )
