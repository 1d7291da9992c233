"""Attacks on the model among the texts of a request: by the user, and by what the user's tools and documents bring.

What tools and documents say is data: an instruction in it is believed to be an attack sooner. What the system prompt
and former answers say is trusted. A whole text is judged, so nothing can be redacted: a policy that says so refuses.
"""

from collections.abc import Iterator, Mapping, Sequence

from penstock_guardrail.injection.classifier import REPORTED_MIN, Judgement
from penstock_guardrail.policy import Action, Policy
from penstock_guardrail.verdict import Finding

PROMPT_INJECTION = "PROMPT_INJECTION"
INDIRECT_INJECTION = "INDIRECT_INJECTION"

_TYPES = {
    **dict.fromkeys(("", "user"), PROMPT_INJECTION),
    **dict.fromkeys(("tool", "function", "document"), INDIRECT_INJECTION),
}


def suspects(roles: Sequence[str]) -> list[int]:
    """Give the positions of texts whose speakers are not trusted; a text without a role is the user's."""
    return [position for position, role in enumerate(roles) if role in _TYPES]


def suspicions(
    judgements: Mapping[int, Judgement], roles: Sequence[str], policy: Policy, recognizer: str
) -> Iterator[Finding]:
    """Give what is probable enough to be told among the judgements on suspects, by their positions."""
    for segment, judged in judgements.items():
        if judged.probability >= REPORTED_MIN:
            yield _finding(_TYPES[roles[segment]], segment, judged, policy, recognizer)


def is_attack(found_type: str) -> bool:
    """Tell a type of attack from one of something in a text."""
    return found_type in _TYPES.values()


def act_on_attack(action: Action) -> Action:
    """Give what is done with a whole text where a policy says so of its attack."""
    return Action.REFUSE if action is Action.REDACT else action


def _finding(found_type: str, segment: int, judged: Judgement, policy: Policy, recognizer: str) -> Finding:
    confidence = round(judged.probability, 4)
    action = act_on_attack(policy.action(found_type, confidence))
    place, evidence = (segment, judged.start, judged.end), "; ".join(judged.reasons)
    return Finding(found_type, *place, confidence, recognizer, evidence, action)
