"""What a policy makes of what was found: what a shadow would do, and what would have been done in the past."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock_guardrail.access import RECOGNIZER, Asker, access
from penstock_guardrail.cutter import TOO_MANY_FINDINGS
from penstock_guardrail.policy import Action, Policy
from penstock_guardrail.rules import TEXT_TOO_LONG
from penstock_guardrail.suspicion import act_on_attack, is_attack
from penstock_guardrail.verdict import Finding, classify

# They hold for every policy.
_LIMITS = frozenset({TEXT_TOO_LONG, TOO_MANY_FINDINGS})

# The highest confidence in each type that was found.
Confidences = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Applied:
    """What is done with texts, with each type in them, and the regions that they may go to; none named means all."""

    action: Action
    types: Mapping[str, Action]
    regions: tuple[str, ...] = ()


def confidences(findings: Iterable[Finding]) -> Confidences:
    """Give what a policy decides on. That somebody may not do something was not found in a text."""
    highest: dict[str, float] = {}
    for finding in findings:
        if finding.recognizer != RECOGNIZER:
            highest[finding.type] = max(finding.confidence, highest.get(finding.type, 0.0))
    return highest


def applied(policy: Policy, asker: Asker, found: Confidences, *, is_prompt: bool) -> Applied:
    """Decide as if a policy did. Access is decided on what goes to a model."""
    types = {found_type: _action(policy, found_type, confidence) for found_type, confidence in found.items()}
    action = max(types.values(), default=Action.ALLOW)
    if not is_prompt:
        return Applied(action, types)
    granted = access(policy, asker, classify(found, policy))
    return Applied(action if granted.refusal is None else Action.REFUSE, types, granted.regions)


def _action(policy: Policy, found_type: str, confidence: float) -> Action:
    if found_type in _LIMITS:
        return Action.REFUSE
    action = policy.action(found_type, confidence)
    return act_on_attack(action) if is_attack(found_type) else action
