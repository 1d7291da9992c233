"""What an organization's policy says, and the policy that it makes of the service's own and of its profiles."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from pydantic import Field

from penstock_guardrail.policies.profile import Profile
from penstock_guardrail.policy import (
    ClassificationName,
    Grant,
    Model,
    Policy,
    Recognizer,
    Residency,
    Rule,
    Topic,
)


class Mode(IntEnum):
    """Whether a policy decides, as in the contract."""

    DRAFT = 0
    SHADOW = 1
    ENFORCED = 2


class Spec(Model):
    """What an organization decides. What it leaves out is as the service's own policy says."""

    display_name: str = ""
    profiles: tuple[str, ...] = ()
    types: dict[str, Rule] = Field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    residencies: tuple[Residency, ...] = ()
    confidence_min: float | None = None
    nothing_found: ClassificationName | None = None
    retention_days: int = 0
    recognizers: tuple[Recognizer, ...] = ()
    topics: tuple[Topic, ...] = ()


def policy_of(base: Policy, spec: Spec, profiles: Mapping[str, Profile]) -> Policy:
    """Put a policy together: the organization's rules in place of the service's, and no weaker than its profiles."""
    kept = [profiles[name] for name in spec.profiles if name in profiles]
    types = {**base.types, **spec.types}
    for profile in kept:
        for found_type, rule in profile.rules.items():
            types[found_type] = types.get(found_type, base.other_types).and_also(rule)
    own_days = spec.retention_days or base.retention_days
    return Policy(
        confidence_min=base.confidence_min if spec.confidence_min is None else spec.confidence_min,
        nothing_found=spec.nothing_found or base.nothing_found,
        types=types,
        other_types=base.other_types,
        grants=spec.grants or base.grants,
        residencies=spec.residencies or base.residencies,
        retention_days=max([own_days, *(profile.retention_days for profile in kept)]),
        recognizers=(*base.recognizers, *spec.recognizers),
        topics=(*base.topics, *spec.topics),
    )


def audit_fields(spec: Spec, profiles: Mapping[str, Profile]) -> Mapping[str, tuple[str, ...]]:
    """Give by type the fields of an audit entry in which the clauses of a policy's profiles are accounted for."""
    fields: dict[str, list[str]] = {}
    for name in spec.profiles:
        for clause in profiles[name].clauses if name in profiles else ():
            for found_type in clause.types:
                fields.setdefault(found_type, []).append(clause.audit_field)
    return {found_type: tuple(dict.fromkeys(names)) for found_type, names in fields.items()}


Differences = Sequence[tuple[str, str, str]]


def differences(before: Policy, after: Policy) -> Differences:
    """Tell what another policy decides otherwise: subject, before, after; in order of subjects."""
    old, new = _decisions(before), _decisions(after)
    for found_type in before.types.keys() | after.types.keys():
        old[f"rules/{found_type}"] = str(before.rule(found_type))
        new[f"rules/{found_type}"] = str(after.rule(found_type))
    return [
        (subject, old.get(subject, ""), new.get(subject, ""))
        for subject in sorted(old.keys() | new.keys())
        if old.get(subject) != new.get(subject)
    ]


def _decisions(policy: Policy) -> dict[str, str]:
    decided = {
        "rules": str(policy.other_types),
        "confidence_min": str(policy.confidence_min),
        "nothing_found": policy.nothing_found.name.lower(),
        "retention_days": str(policy.retention_days),
        **{f"recognizers/{each.name}": f"{each.type} {each.pattern}" for each in policy.recognizers},
        **{f"topics/{each.name}": ", ".join(each.terms) for each in policy.topics},
    }
    for grant in policy.grants:
        ceiling = max(
            each.classification_max
            for each in policy.grants
            if (each.role, each.operation) == (grant.role, grant.operation)
        )
        decided[f"grants/{grant.role}/{grant.operation}"] = ceiling.name.lower()
    for residency in policy.residencies:
        regions = policy.regions(residency.classification) or frozenset()
        decided[f"residencies/{residency.classification.name.lower()}"] = " ".join(sorted(regions))
    return decided
