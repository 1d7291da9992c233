"""Questions whose answers an exact tier has, and L3 has not: after a start, or because another replica kept them."""

import asyncio
from collections.abc import Sequence

from penstock_cache.entry import Entry
from penstock_cache.question import Question
from penstock_cache.semantic.tier import SemanticTier


class Reminder:
    """Lets L3 learn them as they are asked, one list at a time, while nobody waits for it."""

    def __init__(self, tier: SemanticTier) -> None:
        self._tier = tier
        self._task: asyncio.Task[None] | None = None

    def remind(self, found: Sequence[tuple[Question, Entry]], now: float) -> None:
        """Begin to learn what is lacking. What comes meanwhile is learnt when it is asked again."""
        if self._task is not None:
            return
        lacking = [(question, entry) for question, entry in found if self._tier.lacks(question)]
        if lacking:
            self._task = asyncio.create_task(self._learn(lacking, now))

    async def close(self) -> None:
        """Let end what is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _learn(self, lacking: Sequence[tuple[Question, Entry]], now: float) -> None:
        try:
            await self._tier.keep(lacking, now)
        finally:
            self._task = None
