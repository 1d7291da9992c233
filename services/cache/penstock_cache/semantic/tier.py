"""The L3 tier: finds the answers of questions that ask the same in other words."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np

from penstock_cache.entry import Entry, Selector
from penstock_cache.question import Hit, Question, Tier
from penstock_cache.semantic.calibration import calibration
from penstock_cache.semantic.recent import Recent, RecentVectors
from penstock_cache.semantic.shard import Candidate, RoomKey, SemanticShard
from penstock_cache.semantic.upkeep import Upkeep
from penstock_cache.semantic.vectors import Vector

# The encoder reads little more, and what it does not read must not be taken for equal.
QUERY_CHARACTERS_MAX = 1000
KEEP_SECONDS_MAX = 2.0  # for an embedding while nobody waits

Recall = Callable[[Question, float], Awaitable[Entry | None]]
Asked = tuple[Question, Vector]


class Embedder(Protocol):
    """Turns texts into vectors, or does not. The fingerprint changes with the encoder."""

    fingerprint: str

    async def embed(self, texts: Sequence[tuple[str, str]], seconds_max: float) -> list[Vector | None]:
        """Give vectors of texts, each with its organization, in order; None for what was not embedded in time."""


@dataclass(frozen=True, slots=True)
class SemanticLimits:
    """What the tier may take, and how often it may be wrong."""

    bytes_max: int
    lookup_seconds_max: float  # for an embedding while somebody waits
    wrong_share_max: float  # of a tenant's answers by meaning
    shadow_share: float  # of its answers by meaning that are held back to be checked


class SemanticTier:
    """Questions of all tenants by meaning, each tenant in a shard of its own.

    Args:
        embedder: turns questions into vectors.
        recall: gives the living entry of a question's key from the exact tiers; this one keeps no answers.
        limits: of memory, time and errors.
        rng: decides what is held back.
    """

    tier = Tier.L3

    def __init__(self, embedder: Embedder, recall: Recall, limits: SemanticLimits, rng: Random) -> None:
        self.shards: dict[str, SemanticShard] = {}
        self.held_back = 0
        self.readied = self.readied_asked = (
            0  # foreseen questions that were found, and how many were asked then
        )
        self._embedder = embedder
        self._recall = recall
        self._limits = limits
        self._rng = rng
        self._fingerprint = embedder.fingerprint
        self._recent = RecentVectors()
        self._upkeep = Upkeep()
        self._forgettings = 0

    @property
    def size_bytes(self) -> int:
        """Tell what all shards take."""
        return sum(shard.size_bytes for shard in self.shards.values())

    def __len__(self) -> int:
        return sum(map(len, self.shards.values()))

    async def find(self, questions: Sequence[Question], now: float) -> list[Hit | None]:
        """Look for each question by meaning."""
        asked = [question for question in questions if _is_to_be_matched(question)]
        vectors = await self._vectors(asked, self._limits.lookup_seconds_max)
        rooms: defaultdict[tuple[str, RoomKey], list[Asked]] = defaultdict(list)
        for question, vector in zip(asked, vectors, strict=True):
            if vector is not None:
                rooms[question.organization, _room(question, vector)].append((question, vector))
        found: dict[bytes, Hit] = {}
        for (organization, room), together in rooms.items():
            near = self._near(organization, room, together, now)
            for (question, vector), candidates in zip(together, near, strict=True):
                hit = await self._recalled(question, candidates, now)
                if hit is not None:
                    found[question.key] = hit
                    self.readied += question.ahead
                if hit is None or question.ahead:
                    self._recent.put(organization, question.key, Recent(vector, hit is not None))
        return [found.get(question.key) for question in questions]

    def lacks(self, question: Question) -> bool:
        """Tell whether a question could be kept, and is not."""
        shard = self.shards.get(question.organization)
        return _is_to_be_matched(question) and (shard is None or shard.lacks(question.key))

    async def keep(self, kept: Sequence[tuple[Question, Entry]], _now: float) -> None:
        """Keep questions whose answers the exact tiers keep."""
        short = [(question, entry) for question, entry in kept if _is_to_be_matched(question)]
        forgettings = self._forgettings
        vectors = await self._vectors([question for question, _ in short], KEEP_SECONDS_MAX)
        if forgettings != self._forgettings:
            return  # what was to be kept may have been forgotten meanwhile
        for (question, entry), vector in zip(short, vectors, strict=True):
            if vector is not None:
                self._keep(question, entry, vector)

    async def forget(self, organization: str, selector: Selector) -> int:
        """Forget what a selector names, vectors included; give how many."""
        self._forgettings += 1
        self._recent.forget(organization)
        shard = self.shards.get(organization)
        return 0 if shard is None else shard.forget(selector)

    def forget_all(self) -> None:
        """Forget everything of everyone."""
        self._forgettings += 1
        self._clear()

    def expire(self, now: float, entries_max: int) -> int:
        """Drop what is past its time, so many at most; give how many."""
        count = 0
        for shard in self.shards.values():
            count += shard.expire(now, entries_max - count)
        return count

    async def close(self) -> None:
        """Stop what runs in the background."""
        await self._upkeep.close()

    async def _vectors(self, questions: Sequence[Question], seconds_max: float) -> list[Vector | None]:
        """Embed questions, but those that were embedded a moment ago."""
        recent = [self._recent.take(question.organization, question.key) for question in questions]
        self.readied_asked += sum(
            one is not None and one.readied and not question.ahead
            for one, question in zip(recent, questions, strict=True)
        )
        vectors = [None if one is None else one.vector for one in recent]
        lacking = [index for index, vector in enumerate(vectors) if vector is None]
        texts = [(questions[index].organization, questions[index].query_text) for index in lacking]
        embedded = await self._embedder.embed(texts, seconds_max) if texts else []
        self._start_over_with_another_encoder()
        for index, vector in zip(lacking, embedded, strict=True):
            vectors[index] = vector
        return vectors

    def _near(
        self, organization: str, room: RoomKey, asked: Sequence[Asked], now: float
    ) -> list[list[Candidate]]:
        """Search a room once for all that is asked in it."""
        shard = self.shards.get(organization)
        if shard is None:
            return [[] for _ in asked]
        vectors = np.stack([vector for _, vector in asked])
        return shard.find(room, vectors, [question.query_text for question, _ in asked], now)

    async def _recalled(self, question: Question, candidates: Sequence[Candidate], now: float) -> Hit | None:
        """Give the answer of the surest candidate that is still kept and young enough."""
        for candidate in candidates:
            entry = await self._recall(question._replace(key=candidate.key), now)
            if entry is not None:
                return self._hit(question.organization, entry, candidate)
        return None

    def _hit(self, organization: str, entry: Entry, candidate: Candidate) -> Hit:
        shard = self.shards.get(organization)  # it may be gone since the candidate was found
        if shard is not None:
            shard.use(candidate.key)
        held_back = self._rng.random() < self._limits.shadow_share
        self.held_back += held_back
        return Hit(entry, Tier.L3, candidate.similarity, candidate.confidence, held_back)

    def _keep(self, question: Question, entry: Entry, vector: Vector) -> None:
        shard = self.shards.get(question.organization)
        if shard is None:
            shard = SemanticShard(calibration(), self._limits.wrong_share_max)
            self.shards[question.organization] = shard
        room = _room(question, vector)
        shard.put(room, entry, vector, question.query_text)
        self._upkeep.consider(shard.rooms[room])
        size_bytes = self.size_bytes
        while size_bytes > self._limits.bytes_max:
            largest = max(self.shards.values(), key=lambda one: one.size_bytes)
            size_bytes -= largest.evict()

    def _start_over_with_another_encoder(self) -> None:
        """Forget all vectors when they can no longer be compared with new ones."""
        if self._embedder.fingerprint != self._fingerprint:
            if self._fingerprint:
                self._clear()
            self._fingerprint = self._embedder.fingerprint

    def _clear(self) -> None:
        self.shards.clear()
        self._recent = RecentVectors()


def _is_to_be_matched(question: Question) -> bool:
    return not question.exact_only and 0 < len(question.query_text) <= QUERY_CHARACTERS_MAX


def _room(question: Question, vector: Vector) -> RoomKey:
    return question.room.secret, question.history_digest, len(vector)
