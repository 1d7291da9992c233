"""Attacks on the model among the texts of a request: by the user, and by what the user's tools and documents bring.

What tools and documents say is data: an instruction in it is believed to be an attack sooner. What the system prompt
and former answers say is trusted. A whole text is judged, so nothing can be redacted: a policy that says so refuses.
"""

from collections.abc import Iterator, Sequence

from penstock_guardrail.injection.classifier import REPORTED_MIN, Classifier, Judgement
from penstock_guardrail.policy import Action, Policy
from penstock_guardrail.verdict import Finding

PROMPT_INJECTION = "PROMPT_INJECTION"
INDIRECT_INJECTION = "INDIRECT_INJECTION"

_TYPES = {
    **dict.fromkeys(("", "user"), PROMPT_INJECTION),
    **dict.fromkeys(("tool", "function", "document"), INDIRECT_INJECTION),
}


def suspicions(
    classifier: Classifier, policy: Policy, texts: Sequence[str], roles: Sequence[str]
) -> Iterator[Finding]:
    """Judge the texts whose speakers are not trusted; a text without a role is the user's."""
    for segment, (text, role) in enumerate(zip(texts, roles, strict=True)):
        found_type = _TYPES.get(role)
        if found_type is not None:
            judged = classifier.judge(text)
            if judged.probability >= REPORTED_MIN:
                yield _finding(found_type, segment, judged, policy, f"injection/{classifier.version}")


def _finding(found_type: str, segment: int, judged: Judgement, policy: Policy, recognizer: str) -> Finding:
    confidence = round(judged.probability, 4)
    action = policy.action(found_type, confidence)
    if action is Action.REDACT:
        action = Action.REFUSE
    place, evidence = (segment, judged.start, judged.end), "; ".join(judged.reasons)
    return Finding(found_type, *place, confidence, recognizer, evidence, action)
