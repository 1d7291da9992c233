"""What a detector is: a trigger, a grammar of what it may match, and a judgement in Python on each match."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from penstock_guardrail.grammar import Grammar

# No match is longer, and the decision on one looks no further ahead. It bounds what a stream may have to hold back.
MATCH_CHARACTERS_MAX = 16_384
# No judgement looks further back than this before the start of its match.
LOOKBEHIND_CHARACTERS_MAX = 512


class Candidate(NamedTuple):
    """Something found in a canonical view, from `start` to `end`, exclusive. It never holds the value found.

    What `yields` gives way to others that are found inside it, as a web address does to a token in it.
    """

    start: int
    end: int
    type: str
    confidence: float
    recognizer: str
    evidence: str
    yields: bool = False


class Detector(Protocol):
    """Find one kind of thing.

    Whether there is a candidate at a place, and where it ends, must follow from that place on and from the
    `LOOKBEHIND_CHARACTERS_MAX` before it, never from where the search began: then a text may be searched in parts.
    """

    @property
    def name(self) -> str:
        """The recognizer's name; with the version it stands in findings."""

    @property
    def version(self) -> int:
        """Raised when the same text may be judged differently."""

    @property
    def trigger(self) -> str:
        """An RE2 pattern that every match holds, cheap to look for."""

    @property
    def grammar(self) -> Grammar:
        """All it may match, with what must stand before it. A judgement may refuse words of it, never add."""

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the candidates that begin in [start, end), perhaps some beside. Linear in the length of the view."""


class Recognizer(Protocol):
    """Whatever has a name and a version."""

    @property
    def name(self) -> str:
        """The recognizer's name."""

    @property
    def version(self) -> int:
        """Raised when the same text may be judged differently."""


def recognizer(detector: Recognizer) -> str:
    """Name a detector with its version, as findings do: "card/1"."""
    return f"{detector.name}/{detector.version}"
