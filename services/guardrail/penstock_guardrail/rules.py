"""What texts are screened with."""

from dataclasses import dataclass

from penstock_guardrail.detectors import all_detectors
from penstock_guardrail.policy import Policy
from penstock_guardrail.redaction import TokenDetector
from penstock_guardrail.scanner import Scanner

# The type of what is found in texts that are longer than allowed.
TEXT_TOO_LONG = "TEXT_TOO_LONG"


@dataclass(frozen=True, slots=True)
class Rules:
    """Who looks for what, what is done with it, and how long a text may be.

    Args:
        incoming: looks through what goes to a model.
        outgoing: looks through what comes from one: for redaction tokens as well.
        policy: decides.
        version: names all of this.
        characters_max: of the texts of one item; more are refused.
    """

    incoming: Scanner
    outgoing: Scanner
    policy: Policy
    version: str
    characters_max: int


def make_rules(policy: Policy, characters_max: int) -> Rules:
    """Put all detectors to work for a policy."""
    detectors = all_detectors()
    incoming, outgoing = Scanner(detectors), Scanner([*detectors, TokenDetector()])
    return Rules(incoming, outgoing, policy, policy.version(outgoing.recognizers), characters_max)
