"""A day's requests through the cache's own tiers, and a model that is only counted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from harness.paths import CACHE
from penstock_cache.entry import Answer
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.policy import Circumstances
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.question import Answered, Hit, Question, Tier
from penstock_cache.recall import ExactTiers
from penstock_cache.semantic.tier import SemanticLimits, SemanticTier
from penstock_cache.semantic.vectors import Vector
from penstock_cache.tally import Tallies
from penstock_inference.engines.loading import load_encoder
from penstock_inference.settings import MINILM
from servicekit.metrics import Metrics

from documents.day import Asked, order_state

MODEL_MS = 900  # what a model takes for an answer of usual length
ANSWER_NANOS = 70_000
MIB = 1024 * 1024
AHEAD_PROBABILITY_MIN = 0.02
_ORGANIZATION = "office"
_ROOM = RoomKeys(b"r" * 32).room(
    Partition(_ORGANIZATION, SharingScope.ORGANIZATION, "", "chat", "m", b"1" * 32, b"2" * 32, "", "", "")
)


class Encoder:
    """The encoder that the inference service runs, in this process."""

    fingerprint = "bench"

    def __init__(self) -> None:
        self._encoder = load_encoder(MINILM.reference, kind=MINILM.kind, cache_dir=CACHE / "models")

    async def embed(self, texts: Sequence[tuple[str, str]], _seconds_max: float) -> list[Vector | None]:
        """See `Embedder.embed`."""
        return list(self._encoder.embed([text for _, text in texts])[0])


@dataclass
class Score:
    """What a day came to."""

    requests: int = 0
    hits: int = 0
    semantic_hits: int = 0
    wrong: int = 0
    orders: int = 0
    order_hits: int = 0
    model_calls: int = 0
    ahead_calls: int = 0
    ahead_useful: int = 0
    latencies_ms: list[float] = field(default_factory=list)


class Office:
    """Asks the cache, then the model.

    Args:
        encoder: turns questions into vectors.
        right: the right answers of the day.
        ahead_budget: how many answers may be made before anybody asks.
    """

    def __init__(self, encoder: Encoder, right: Mapping[str, str], ahead_budget: int) -> None:
        memory = Memory(64 * MIB)
        limits = SemanticLimits(64 * MIB, 10.0, 0.02, 0.0)
        semantic = SemanticTier(encoder, ExactTiers(memory, []).recall, limits, Random(1))
        tallies = Tallies()
        self._cache = AnswerCache(
            memory, [semantic], Lookups(Metrics()), tallies, answer_bytes_max=MIB, ttl_seconds_max=1e6
        )
        self._predictor = Predictor()
        self._right = right
        self._ahead_left = ahead_budget
        self._now = 0.0
        self.score = Score()

    async def ask(self, asked: Asked) -> None:
        """Answer a request; then, while nobody waits, what will probably be asked next."""
        score, question = self.score, _question(asked.user, asked.text)
        self._now += 1.0
        began = time.perf_counter()
        [found] = await self._cache.look_up([question], self._now)
        waited_ms = 1000 * (time.perf_counter() - began)
        score.requests += 1
        is_order = order_state(asked.text) is not None
        score.orders += is_order
        score.order_hits += is_order and isinstance(found, Hit)
        if isinstance(found, Hit):
            score.hits += 1
            score.semantic_hits += found.tier is Tier.L3
            score.ahead_useful += found.tier is Tier.L4
            score.wrong += found.entry.answer.body.decode() != asked.answer
        else:
            waited_ms += MODEL_MS
            score.model_calls += 1
            await self._keep(question, asked.answer)
        score.latencies_ms.append(waited_ms)
        await self._answer_ahead(asked, question)

    async def _answer_ahead(self, asked: Asked, question: Question) -> None:
        for prediction in self._predictor.observe(question, self._now):
            if not self._ahead_left or prediction.probability < AHEAD_PROBABILITY_MIN:
                return
            coming = _question(asked.user, prediction.text)._replace(exact_only=True, ahead=True)
            [known] = await self._cache.look_up([coming], self._now)
            if known is None:
                self._ahead_left -= 1
                self.score.ahead_calls += 1
                text = prediction.text
                body = self._right.get(text) or order_state(text) or f"about: {text}"
                await self._keep(_question(asked.user, text), body, ahead=True)

    async def _keep(self, question: Question, body: str, *, ahead: bool = False) -> None:
        answer = Answer(body.encode(), ANSWER_NANOS, MODEL_MS)
        await self._cache.keep([Answered(question, answer, 1e6, (), Circumstances(ahead=ahead))], self._now)


def _question(user: str, text: str) -> Question:
    key = _ROOM.key(sha256(text.encode()).digest())
    return Question(_ORGANIZATION, user, 1e12, _ROOM, key, query_text=text)
