"""The workflow of feedback: what was learnt about answers by meaning, and what follows for their entry and tenant."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from servicekit.errors import NotFound, ServiceError, Unavailable

from penstock_cache.entry import Selector, key_of
from penstock_cache.semantic.agreement import agree
from penstock_cache.semantic.tier import Embedder, SemanticTier

COMPARE_SECONDS_MAX = 2.0


Announce = Callable[[str, Selector], Awaitable[None]]


class Verdict(IntEnum):
    """Whether an answer fitted; the numbers of penstock.cache.v1.Verdict."""

    RIGHT = 1
    WRONG = 2


class Comparison(NamedTuple):
    """The answer that was held back, and the one that was generated instead."""

    kept: str
    generated: str


class Judged(NamedTuple):
    """What is known about one answer by meaning."""

    organization: str
    entry_id: str
    judgement: Verdict | Comparison


class Learner:
    """Demotes entries that answered other questions, and keeps each tenant within its budget of false hits.

    Args:
        tier: whose answers are judged.
        embedder: compares answers.
        announce: tells the other replicas to forget an entry; None: there are no others.
    """

    def __init__(self, tier: SemanticTier, embedder: Embedder, announce: Announce | None = None) -> None:
        self._tier = tier
        self._embedder = embedder
        self._announce = announce

    async def learn(self, items: Sequence[Judged]) -> list[Verdict | ServiceError]:
        """Learn from each item, and give what was found to hold.

        An entry learns from every verdict. A tenant's budget counts comparisons only: what is held back to be
        compared is drawn at random, what people report is not.
        """
        return list(await asyncio.gather(*map(self._learn, items)))

    async def _learn(self, item: Judged) -> Verdict | ServiceError:
        shard = self._tier.shards.get(item.organization)
        key = key_of(item.entry_id)
        if shard is None or key not in shard:
            return await self._learn_elsewhere(item)
        verdict = await self._decide(item)
        if isinstance(verdict, ServiceError):
            return verdict
        wrong = verdict is Verdict.WRONG
        if isinstance(item.judgement, Comparison):
            shard.trust.observe(wrong=wrong)
        if key in shard:  # it may have been forgotten while the answers were compared
            shard.learn(key, wrong=wrong)
        return verdict

    async def _learn_elsewhere(self, item: Judged) -> Verdict | ServiceError:
        """Let every replica forget an entry that is not here and was wrong; here no one can count how often it was."""
        if self._announce is not None:
            verdict = await self._decide(item)
            if verdict is not Verdict.WRONG:
                return verdict
            try:
                await self._announce(item.organization, ("entry_id", item.entry_id))
            except Unavailable as error:
                return error
            return verdict
        return NotFound(
            "RESOURCE_NOT_FOUND", "No such entry answers by meaning.", metadata={"name": item.entry_id}
        )

    async def _decide(self, item: Judged) -> Verdict | ServiceError:
        if isinstance(item.judgement, Verdict):
            return item.judgement
        kept, generated = item.judgement
        texts = [(item.organization, kept), (item.organization, generated)]
        one, other = await self._embedder.embed(texts, COMPARE_SECONDS_MAX)
        if one is None or other is None:
            return Unavailable(
                "DEPENDENCY_UNAVAILABLE",
                "The answers could not be compared.",
                metadata={"dependency": "inference"},
            )
        return Verdict.RIGHT if agree(kept, generated, float(one @ other)) else Verdict.WRONG
