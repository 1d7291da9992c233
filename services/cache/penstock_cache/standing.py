"""What an organization's cache holds and has done, on this replica. Pure."""

from typing import NamedTuple

from penstock_cache.memory import Memory
from penstock_cache.semantic.shard import SemanticShard
from penstock_cache.semantic.tier import SemanticTier
from penstock_cache.semantic.trust import TenantTrust
from penstock_cache.tally import Tallies, Tally


class Standing(NamedTuple):
    """The figures; those by meaning are None where nothing is kept by meaning."""

    answers: int
    size_bytes: int
    tally: Tally
    questions: int
    trust: TenantTrust | None


class Standings:
    """Reads the figures of one organization, and of no other."""

    def __init__(self, memory: Memory, semantic: SemanticTier, tallies: Tallies) -> None:
        self._memory = memory
        self._semantic = semantic
        self._tallies = tallies

    def of(self, organization: str) -> Standing:
        """Read them."""
        answers, size_bytes = self._memory.held(organization)
        shard: SemanticShard | None = self._semantic.shards.get(organization)
        tally = self._tallies.of(organization)
        if shard is None:
            return Standing(answers, size_bytes, tally, 0, None)
        return Standing(answers, size_bytes, tally, len(shard), shard.trust)
