"""What an organization's cache holds and has done, on this replica. Pure."""

from typing import NamedTuple

from penstock_cache.memory import Memory
from penstock_cache.prediction.predictor import Predictor
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
    predicted_right: int
    predicted_wrong: int


class Standings:
    """Reads the figures of one organization, and of no other."""

    def __init__(
        self, memory: Memory, semantic: SemanticTier, tallies: Tallies, predictor: Predictor
    ) -> None:
        self._memory = memory
        self._semantic = semantic
        self._tallies = tallies
        self._predictor = predictor

    def of(self, organization: str) -> Standing:
        """Read them."""
        answers, size_bytes = self._memory.held(organization)
        shard: SemanticShard | None = self._semantic.shards.get(organization)
        questions, trust = (0, None) if shard is None else (len(shard), shard.trust)
        score = self._predictor.score(organization)
        return Standing(answers, size_bytes, self._tallies.of(organization), questions, trust, *score)
