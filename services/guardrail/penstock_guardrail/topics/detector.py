"""Find the terms of one topic."""

from collections.abc import Iterator

from penstock_guardrail.detectors import Candidate
from penstock_guardrail.grammar import words
from penstock_guardrail.pattern import Pattern
from penstock_guardrail.policy import Topic
from penstock_guardrail.topics.terms import grammar_of_terms

_CONFIDENCE = 0.95


class TopicDetector:
    """Find the terms of a topic of an organization. The type is `TOPIC_` and the topic's name."""

    version = 1

    def __init__(self, topic: Topic) -> None:
        self.name = f"topic-{topic.name}"
        self.grammar = grammar_of_terms(topic.terms)
        self.trigger = words(self.grammar)
        self._terms = Pattern(self.trigger)
        self._type = topic.type

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the terms that begin in [start, end)."""
        for first, last in self._terms.spans(view, start, end):
            evidence = "term of a topic that is denied"
            yield Candidate(first, last, self._type, _CONFIDENCE, f"{self.name}/1", evidence)
