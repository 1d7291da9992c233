"""What texts are screened with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock_guardrail.custom.detector import CustomDetector
from penstock_guardrail.detectors import Detector, NameDetector, all_detectors
from penstock_guardrail.injection.classifier import Classifier
from penstock_guardrail.injection.weights import shipped
from penstock_guardrail.policy import Policy, Recognizer, Topic
from penstock_guardrail.redaction import TokenDetector
from penstock_guardrail.scanner import Scanner
from penstock_guardrail.tagger import LABELS
from penstock_guardrail.topics.detector import TopicDetector
from penstock_guardrail.toxicity.detector import ToxicityDetector

NAMES = tuple(filter(None, LABELS))
# The type of what is found in texts that are longer than allowed.
TEXT_TOO_LONG = "TEXT_TOO_LONG"


@dataclass(frozen=True, slots=True)
class Rules:
    """Who looks for what, what is done with it, and how long a text may be.

    Args:
        detectors: look for what everybody looks for.
        incoming: looks through what goes to a model.
        outgoing: looks through what comes from one: for redaction tokens as well.
        classifier: judges whether a text is an attack on the model.
        policy: decides.
        version: names all of this.
        characters_max: of the texts of one item; more are refused.
    """

    detectors: Sequence[Detector]
    incoming: Scanner
    outgoing: Scanner
    classifier: Classifier
    policy: Policy
    version: str
    characters_max: int

    @property
    def looked_for(self) -> tuple[object, ...]:
        """Give what tells these rules' detectors from those of others."""
        return self.policy.recognizers, self.policy.topics, self.policy.minds(NAMES)

    def under(self, policy: Policy) -> "Rules":
        """Give the rules of a policy: its own recognizers and topics beside what everybody looks for."""
        own = own_detectors(policy.recognizers, policy.topics)
        incoming, outgoing = self.incoming, self.outgoing
        others = own or self.policy.recognizers or self.policy.topics
        if others or policy.minds(NAMES) != self.policy.minds(NAMES):
            incoming, outgoing = _scanners([*self.detectors, *own], policy)
        version = _version(policy, outgoing, self.classifier)
        return replace(self, incoming=incoming, outgoing=outgoing, policy=policy, version=version)


def make_rules(policy: Policy, characters_max: int) -> Rules:
    """Put all detectors to work for a policy.

    Raises:
        ValueError: a pattern or a term of the policy cannot be looked for.
    """
    detectors, classifier = [*all_detectors(), ToxicityDetector()], Classifier(shipped())
    incoming, outgoing = _scanners([*detectors, *own_detectors(policy.recognizers, policy.topics)], policy)
    version = _version(policy, outgoing, classifier)
    return Rules(detectors, incoming, outgoing, classifier, policy, version, characters_max)


def own_detectors(recognizers: Sequence[Recognizer], topics: Sequence[Topic]) -> list[Detector]:
    """Make the detectors of an organization.

    Raises:
        ValueError: a pattern or a term cannot be looked for; the message says which and why.
    """
    return [*map(CustomDetector, recognizers), *map(TopicDetector, topics)]


def _scanners(detectors: Sequence[Detector], policy: Policy) -> tuple[Scanner, Scanner]:
    """Make the scanners of both ways. Names cost more than all else: they are looked for where policy minds them."""
    names = NameDetector() if policy.minds(NAMES) else None
    return Scanner(detectors, names), Scanner([*detectors, TokenDetector()], names)


def _version(policy: Policy, scanner: Scanner, classifier: Classifier) -> str:
    return policy.version([*scanner.recognizers, classifier.name])
