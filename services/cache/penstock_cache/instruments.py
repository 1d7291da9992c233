"""What the cache tells Prometheus."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from servicekit.metrics import NAMESPACE, Metrics

from penstock_cache.memory import Memory
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.question import Tier
from penstock_cache.semantic.tier import SemanticTier
from penstock_cache.tally import Tallies


class Lookups:
    """Hits and misses by tier, counted once a list."""

    def __init__(self, metrics: Metrics) -> None:
        hits = metrics.counter("cache_hits_total", "Questions answered from memory.", ["tier"])
        misses = metrics.counter("cache_misses_total", "Questions not answered from memory.", ["tier"])
        self._hits = {tier: hits.labels(tier.name) for tier in Tier}
        self._misses = {tier: misses.labels(tier.name) for tier in Tier}

    def count(self, tier: Tier, hits: int, misses: int) -> None:
        """Count what a tier was asked."""
        self._hits[tier].inc(hits)
        self._misses[tier].inc(misses)


class MemoryCollector(Collector):
    """The state of the L1 tier, read when it is asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def collect(self) -> Iterator[Metric]:
        """Give bytes, entries and evictions."""
        tier = Tier.L1.name
        size = GaugeMetricFamily(f"{NAMESPACE}_cache_bytes", "Bytes kept.", labels=["tier"])
        size.add_metric([tier], self._memory.size_bytes)
        entries = GaugeMetricFamily(f"{NAMESPACE}_cache_entries", "Answers kept.", labels=["tier"])
        entries.add_metric([tier], len(self._memory))
        evictions = CounterMetricFamily(
            f"{NAMESPACE}_cache_evictions", "Answers that went.", labels=["tier", "reason"]
        )
        for reason, count in self._memory.evictions.items():
            evictions.add_metric([tier, reason.value], count)
        yield from (size, entries, evictions)


class SemanticCollector(Collector):
    """The state of the L3 tier, read when it is asked for."""

    def __init__(self, semantic: SemanticTier) -> None:
        self._semantic = semantic

    def collect(self) -> Iterator[Metric]:
        """Give bytes, questions, and what is known of false hits."""
        semantic = self._semantic
        trusts = [shard.trust for shard in semantic.shards.values()]
        for name, text, value in (
            ("semantic_bytes", "Bytes of questions and vectors.", semantic.size_bytes),
            ("semantic_questions", "Questions that can be found by meaning.", len(semantic)),
        ):
            yield GaugeMetricFamily(f"{NAMESPACE}_cache_{name}", text, value)
        for name, text, count in (
            (
                "semantic_held_back",
                "Answers by meaning that were held back to be checked.",
                semantic.held_back,
            ),
            (
                "semantic_checked",
                "Answers by meaning that were checked.",
                sum(trust.checked for trust in trusts),
            ),
            ("semantic_wrong", "Those that answered another question.", sum(trust.wrong for trust in trusts)),
            ("semantic_readied", "Foreseen questions that were found by meaning.", semantic.readied),
            ("semantic_readied_asked", "Those that somebody asked then.", semantic.readied_asked),
        ):
            yield CounterMetricFamily(f"{NAMESPACE}_cache_{name}", text, count)


class PredictionCollector(Collector):
    """How good predictions are, read when it is asked for."""

    def __init__(self, predictor: Predictor, tallies: Tallies) -> None:
        self._predictor = predictor
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """Give how many questions were predicted right, what became of answers made ahead, and what was wasted."""
        outcomes = CounterMetricFamily(
            f"{NAMESPACE}_cache_predictions", "Questions that came after a prediction.", labels=["outcome"]
        )
        outcomes.add_metric(["right"], self._predictor.right)
        outcomes.add_metric(["wrong"], self._predictor.wrong)
        tally = self._tallies.all
        ahead = CounterMetricFamily(
            f"{NAMESPACE}_cache_ahead", "Answers made before anybody asked.", labels=["outcome"]
        )
        for outcome, count in (
            ("kept", tally.ahead_answers),
            ("useful", tally.ahead_useful),
            ("wasted", tally.ahead_wasted),
        ):
            ahead.add_metric([outcome], count)
        wasted = CounterMetricFamily(
            f"{NAMESPACE}_cache_ahead_wasted_nanos",
            "What answers that nobody asked for had cost.",
            tally.wasted_cost_nanos,
        )
        yield from (outcomes, ahead, wasted)
