"""The workflow, the file to read first: what happens to questions, to answers, and to wishes to forget.

A question is admitted and the tiers are asked in order, each for what those before it did not know. An answer is
admitted and kept by each tier that has room for it. Forgetting reaches every tier. Lists go in and come out; an item
fails alone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from servicekit.errors import ResourceExhausted, ServiceError, Unavailable

from penstock_cache.entry import Entry, Selector
from penstock_cache.instruments import Lookups
from penstock_cache.memory import Memory
from penstock_cache.policy import Refusal, StoragePolicy
from penstock_cache.question import Answered, Hit, Question, Tier
from penstock_cache.tally import Tallies

NOT_KEPT = ""

Result = Hit | ServiceError | None
Kept = str | Refusal | ServiceError


class FurtherTier(Protocol):
    """A tier behind the first. It never fails: what goes wrong inside is a miss."""

    tier: Tier

    async def find(self, questions: Sequence[Question], now: float) -> Sequence[Hit | None]:
        """Look for each question; as many results, in order."""

    async def keep(self, kept: Sequence[tuple[Question, Entry]], now: float) -> None:
        """Keep answers."""

    async def forget(self, organization: str, selector: Selector) -> int:
        """Forget what a selector names, for good; give how many entries.

        Raises:
            Unavailable: it cannot be said that all is forgotten.
        """


class AnswerCache:
    """Answers from memory.

    Args:
        memory: the L1 tier.
        further: the tiers behind it, in the order they are asked.
        lookups: counts hits and misses.
        tallies: counts what each organization was given.
        policy: which answers may be kept.
        remind: tells who finds by meaning what was found exactly, so that it learns what it lacks.
        forget_beside: forgets what is no tier that is asked, a snapshot or counts; gives how much by tier.
        answer_bytes_max: the largest body that is kept.
        ttl_seconds_max: how long an answer is kept at most.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, then limits by name
        self,
        memory: Memory,
        further: Sequence[FurtherTier],
        lookups: Lookups,
        tallies: Tallies,
        policy: StoragePolicy = StoragePolicy(),  # noqa: B008 - frozen
        *,
        remind: Callable[[Sequence[tuple[Question, Entry]], float], None] = lambda _found, _now: None,
        forget_beside: Callable[[str, Selector], dict[Tier, int]] = lambda _organization, _selector: {},
        answer_bytes_max: int,
        ttl_seconds_max: float,
    ) -> None:
        self._memory = memory
        self._further = further
        self._lookups = lookups
        self._tallies = tallies
        self._policy = policy
        self._remind = remind
        self._forget_beside = forget_beside
        self._forgettings = 0
        self._answer_bytes_max = answer_bytes_max
        self._ttl_seconds_max = ttl_seconds_max

    async def look_up(self, questions: Sequence[Question], now: float) -> list[Result]:
        """Answer each question from memory; None is a miss."""
        results = [self._recall(question, now) for question in questions]
        asked = sum(not isinstance(result, ServiceError) for result in results)
        missed = [index for index, result in enumerate(results) if result is None]
        self._lookups.count(Tier.L1, asked - len(missed), len(missed))
        for tier in self._further:
            if not missed:
                break
            forgettings = self._forgettings
            found = await tier.find([questions[index] for index in missed], now)
            if forgettings != self._forgettings:
                break  # what was found may have been forgotten meanwhile
            for index, hit in zip(missed, found, strict=True):
                results[index] = hit
                if hit is not None and tier.tier is Tier.L2:
                    self._memory.put(questions[index].organization, hit.entry)
            still = [index for index in missed if results[index] is None]
            self._lookups.count(tier.tier, len(missed) - len(still), len(still))
            missed = still
        self._remind(_found_exactly(questions, results), now)
        return [
            result
            if isinstance(result, ServiceError) or question.ahead
            else self._tallies.count(question.organization, result)
            for question, result in zip(questions, results, strict=True)
        ]

    async def keep(self, answers: Sequence[Answered], now: float) -> list[Kept]:
        """Keep each answer and give its entry id, NOT_KEPT when there was no room or no time left for it."""
        results: list[Kept] = []
        kept: list[tuple[Question, Entry]] = []
        for answered in answers:
            refusal = self._policy.refusal(answered.circumstances, answered.question.room.partition.scope)
            if refusal is not None:
                results.append(refusal)
                continue
            try:
                entry = self._entry(answered, now)
            except ServiceError as error:
                results.append(error)
                continue
            if entry is None or not self._memory.put(answered.question.organization, entry):
                results.append(NOT_KEPT)
                continue
            if answered.circumstances.ahead:
                self._tallies.kept_ahead(answered.question.organization, entry)
            results.append(entry.entry_id)
            kept.append((answered.question, entry))
        for tier in self._further if kept else ():
            forgettings = self._forgettings
            await tier.keep(kept, now)
            if forgettings != self._forgettings:
                await self._forget_again(kept)
        return results

    async def forget(self, organization: str, selector: Selector) -> dict[Tier, int]:
        """Forget what a selector names in every tier; give how many entries each had.

        Raises:
            Unavailable: a tier could not be reached; what could be forgotten is.
        """
        counts = self._forget_in_process(organization, selector)
        for tier in reversed(self._further):  # the shared one last: what it announces comes back to us, too
            counts[tier.tier] = await tier.forget(organization, selector)
        return counts

    async def forget_here(self, organization: str, selector: Selector) -> int:
        """Forget what another replica was told to forget, in the tiers that are not shared."""
        count = sum(self._forget_in_process(organization, selector).values())
        for tier in self._further:
            if tier.tier is not Tier.L2:
                count += await tier.forget(organization, selector)
        return count

    def _forget_in_process(self, organization: str, selector: Selector) -> dict[Tier, int]:
        self._forgettings += 1
        beside = self._forget_beside(organization, selector)
        return {Tier.L1: self._memory.forget(organization, selector)} | beside

    async def _forget_again(self, kept: Sequence[tuple[Question, Entry]]) -> None:
        """Take out of the further tiers what memory was told to forget while they were taking it in."""
        for question, entry in kept:
            if not self._memory.holds(question.organization, entry.key):
                for tier in self._further:
                    with suppress(Unavailable):
                        await tier.forget(question.organization, ("entry_id", entry.entry_id))

    def _recall(self, question: Question, now: float) -> Result:
        try:
            question.admit(now)
        except ServiceError as error:
            return error
        entry = self._memory.get(question.organization, question.key, now, question.age_seconds_max)
        return None if entry is None else Hit(entry, Tier.L1, similarity=1.0)

    def _entry(self, answered: Answered, now: float) -> Entry | None:
        """Make the entry of an answer; None when no time is left for it."""
        question = answered.question
        question.admit(now)
        self._check_size(len(answered.answer.body))
        ttl_seconds = min(answered.ttl_seconds, self._ttl_seconds_max)
        if ttl_seconds <= 0:
            return None
        return Entry(question.key, answered.answer, answered.labels(), now, now + ttl_seconds)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._answer_bytes_max:
            raise ResourceExhausted(
                "OVERLOADED",
                f"The answer has {size_bytes} bytes; at most {self._answer_bytes_max} are kept.",
                metadata={"queue": "l1", "limit": str(self._answer_bytes_max)},
            )


def _found_exactly(questions: Sequence[Question], results: Sequence[Result]) -> list[tuple[Question, Entry]]:
    return [
        (question, result.entry)
        for question, result in zip(questions, results, strict=True)
        if isinstance(result, Hit) and result.tier is not Tier.L3
    ]
