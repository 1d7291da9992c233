"""Who may do what with how sensitive texts, and where these may go. What no grant allows is refused."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_guardrail.policy import Action, Classification, Policy
from penstock_guardrail.redaction import type_of
from penstock_guardrail.verdict import Finding

ACCESS_DENIED = "ACCESS_DENIED"
REGION_DENIED = "REGION_DENIED"
RECOGNIZER = "access/1"


@dataclass(frozen=True, slots=True)
class Asker:
    """What decides on access: roles of the principal, what it does, and the region its data must stay in."""

    roles: tuple[str, ...] = ()
    operation: str = "chat"
    region: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """What a policy says: a refusal, or the regions that texts may go to; none named means all."""

    refusal: Finding | None = None
    regions: tuple[str, ...] = ()


def access(policy: Policy, asker: Asker, classification: Classification) -> Access:
    """Decide on access to texts of a classification."""
    if policy.ceiling(asker.roles, asker.operation) < classification:
        roles, sensitive = ", ".join(asker.roles) or "no role", classification.name.lower()
        return Access(_refusal(ACCESS_DENIED, f"{roles}: no grant to {asker.operation} {sensitive} texts"))
    allowed = policy.regions(classification)
    if asker.region:
        own = frozenset({asker.region})
        allowed = own if allowed is None else allowed & own
    if allowed is None:
        return Access()
    if not allowed:
        return Access(_refusal(REGION_DENIED, "no region is allowed to both the policy and the principal"))
    return Access(regions=tuple(sorted(allowed)))


def restorable(values: Mapping[str, str], policy: Policy, asker: Asker) -> Mapping[str, str]:
    """Give of some values by token those that the principal may see again."""
    if not values:
        return values
    ceiling = policy.ceiling(asker.roles, "restore")
    return {
        token: value
        for token, value in values.items()
        if policy.rule(type_of(token)).classification <= ceiling
    }


def _refusal(found_type: str, evidence: str) -> Finding:
    return Finding(found_type, 0, 0, 0, 1.0, RECOGNIZER, evidence, Action.REFUSE)
