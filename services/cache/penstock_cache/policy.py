"""Which answers may be kept at all. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from penstock_cache.partition import SharingScope


class Outcome(IntEnum):
    """How an answer ended; the numbers of penstock.cache.v1.AnswerOutcome."""

    UNSPECIFIED = 0
    COMPLETE = 1
    TRUNCATED = 2
    REFUSED = 3
    ERRORED = 4
    UNSETTLED = 5


class Classification(IntEnum):
    """Who may know it; the numbers of penstock.guardrail.v1.Classification."""

    UNSPECIFIED = 0
    PUBLIC = 1
    INTERNAL = 2
    CONFIDENTIAL = 3
    RESTRICTED = 4


class Refusal(IntEnum):
    """Why policy keeps an answer out; the numbers of penstock.cache.v1.StoreRefusal."""

    OUTCOME = 1
    CLASSIFICATION = 2
    TEMPERATURE = 3
    TOOLS = 4


class Circumstances(NamedTuple):
    """How an answer came to be."""

    outcome: int = Outcome.UNSPECIFIED
    classification: int = Classification.UNSPECIFIED
    temperature: float = 0.0
    tools_offered: bool = False
    ahead: bool = False  # nobody asked yet


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """What this installation keeps.

    Args:
        temperature_max: answers sampled above it are not kept.
        tools: whether answers are kept where tools were offered.
        restricted: whether answers with restricted data are kept for their own user; they never are for others.
    """

    temperature_max: float = 2.0
    tools: bool = True
    restricted: bool = True

    def refusal(self, of: Circumstances, scope: int) -> Refusal | None:
        """Say why an answer may not be kept for those of a scope; None when it may."""
        if of.outcome not in {Outcome.UNSPECIFIED, Outcome.COMPLETE}:
            return Refusal.OUTCOME
        if not self._may_be_known(of.classification, scope):
            return Refusal.CLASSIFICATION
        if of.temperature > self.temperature_max:
            return Refusal.TEMPERATURE
        if of.tools_offered and not self.tools:
            return Refusal.TOOLS
        return None

    def _may_be_known(self, classification: int, scope: int) -> bool:
        if classification < Classification.CONFIDENTIAL:
            return True
        if classification >= Classification.RESTRICTED and not self.restricted:
            return False
        return scope == SharingScope.USER
