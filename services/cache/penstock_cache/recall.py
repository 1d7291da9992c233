"""Where answers are kept: the exact tiers, asked by key."""

from collections.abc import Sequence

from penstock_cache.entry import Entry
from penstock_cache.lookup import FurtherTier
from penstock_cache.memory import Memory
from penstock_cache.question import Question


class ExactTiers:
    """Memory, and the exact tiers behind it."""

    def __init__(self, memory: Memory, further: Sequence[FurtherTier]) -> None:
        self._memory = memory
        self._further = further

    async def recall(self, question: Question, now: float) -> Entry | None:
        """Give the living entry of a question's key, if it is young enough."""
        entry = self._memory.get(question.organization, question.key, now, question.age_seconds_max)
        if entry is not None:
            return entry
        for tier in self._further:
            [hit] = await tier.find([question], now)
            if hit is not None:
                return hit.entry
        return None
