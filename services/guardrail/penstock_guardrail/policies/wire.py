"""Policies: wire to domain and back."""

from collections.abc import Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from penstock.guardrail.v1 import finding_pb2, policy_pb2
from servicekit.errors import InvalidArgument

from penstock_guardrail.policies.profile import Profile
from penstock_guardrail.policies.spec import Mode, Spec
from penstock_guardrail.policies.store import Stored
from penstock_guardrail.policy import (
    CONFIDENCE,
    Action,
    Classification,
    Grant,
    Recognizer,
    Replacement,
    Residency,
    Rule,
    Topic,
)
from penstock_guardrail.rules import own_detectors

_REPLACEMENTS = {
    finding_pb2.REPLACEMENT_UNSPECIFIED: Replacement.TOKEN,
    finding_pb2.REPLACEMENT_MASK: Replacement.MASK,
    finding_pb2.REPLACEMENT_HASH: Replacement.HASH,
}
_REPLACEMENTS_WIRE = {replacement: number for number, replacement in _REPLACEMENTS.items()}
_NANOS, _MICROS = 1_000, 1_000_000


def read_spec(message: policy_pb2.Policy, profiles: Mapping[str, Profile]) -> Spec:
    """Read what a policy says.

    Raises:
        InvalidArgument: it names a profile that there is not, or something twice, or a pattern or a term cannot be
            looked for (INVALID_ARGUMENT).
    """
    unknown = set(message.profiles) - profiles.keys()
    if unknown:
        raise _invalid("policy.profiles", f"{min(unknown)!r} is none of {', '.join(sorted(profiles))}")
    types = {rule.type: _read_rule(rule) for rule in message.rules}
    if len(types) < len(message.rules):
        raise _invalid("policy.rules", "A type has two rules.")
    recognizers = tuple(map(_read_recognizer, message.recognizers))
    topics = tuple(Topic(name=topic.name, terms=tuple(topic.terms)) for topic in message.topics)
    _check_own(recognizers, topics)
    return Spec(
        display_name=message.display_name,
        profiles=tuple(message.profiles),
        types=types,
        grants=tuple(map(_read_grant, message.grants)),
        residencies=tuple(map(_read_residency, message.residencies)),
        confidence_min=message.confidence_min if message.HasField("confidence_min") else None,
        nothing_found=Classification(message.nothing_found) if message.nothing_found else None,
        retention_days=message.retention_days,
        recognizers=recognizers,
        topics=topics,
    )


def read_mode(message: policy_pb2.Policy) -> Mode:
    """Read whether a policy decides."""
    return Mode(message.mode)


def read_name(name: str) -> tuple[str, str]:
    """Read "organizations/{organization}/policies/{policy}" to both ids.

    Raises:
        InvalidArgument: it is no such name (INVALID_ARGUMENT).
    """
    match name.split("/"):
        case ["organizations", organization, "policies", policy_id] if organization and policy_id:
            return organization, policy_id
    raise _invalid("policy.name", "Not the name of a policy.")


def write_policy(stored: Stored) -> policy_pb2.Policy:
    """Write a policy."""
    spec = stored.spec
    message = policy_pb2.Policy(
        name=stored.name,
        display_name=spec.display_name,
        mode=policy_pb2.PolicyMode.Name(stored.mode),
        profiles=spec.profiles,
        rules=[_write_rule(found_type, rule) for found_type, rule in spec.types.items()],
        grants=[_write_grant(grant) for grant in spec.grants],
        residencies=[_write_residency(residency) for residency in spec.residencies],
        nothing_found=finding_pb2.Classification.Name(spec.nothing_found or 0),
        retention_days=spec.retention_days,
        recognizers=map(_write_recognizer, spec.recognizers),
        topics=[policy_pb2.PolicyTopic(name=topic.name, terms=topic.terms) for topic in spec.topics],
        revision=stored.revision,
        create_time=timestamp(stored.create_us),
        update_time=timestamp(stored.update_us),
    )
    if spec.confidence_min is not None:
        message.confidence_min = spec.confidence_min
    return message


def _read_rule(rule: policy_pb2.PolicyRule) -> Rule:
    return Rule(
        action=Action(rule.action),
        classification=Classification(rule.classification),
        replacement=_REPLACEMENTS[rule.replacement],
        confidence_min=rule.confidence_min if rule.HasField("confidence_min") else None,
    )


def _write_rule(found_type: str, rule: Rule) -> policy_pb2.PolicyRule:
    return policy_pb2.PolicyRule(
        type=found_type,
        action=finding_pb2.Action.Name(rule.action),
        replacement=_REPLACEMENTS_WIRE[rule.replacement],
        classification=finding_pb2.Classification.Name(rule.classification),
        confidence_min=rule.confidence_min,
    )


def _read_recognizer(recognizer: policy_pb2.PolicyRecognizer) -> Recognizer:
    return Recognizer(
        name=recognizer.name,
        type=recognizer.type,
        pattern=recognizer.pattern,
        ignore_case=recognizer.ignore_case,
        context=tuple(recognizer.context),
        confidence=recognizer.confidence if recognizer.HasField("confidence") else CONFIDENCE,
    )


def _write_recognizer(recognizer: Recognizer) -> policy_pb2.PolicyRecognizer:
    return policy_pb2.PolicyRecognizer(**recognizer.model_dump())


def _check_own(recognizers: Sequence[Recognizer], topics: Sequence[Topic]) -> None:
    for field, named in (("policy.recognizers", recognizers), ("policy.topics", topics)):
        if len({each.name for each in named}) < len(named):
            raise _invalid(field, "A name stands there twice.")
    for field, own in (("policy.recognizers", (recognizers, ())), ("policy.topics", ((), topics))):
        try:
            own_detectors(*own)
        except ValueError as error:
            raise _invalid(field, str(error)) from error


def _read_grant(grant: policy_pb2.PolicyGrant) -> Grant:
    return Grant.model_validate(
        {
            "role": grant.role,
            "operation": grant.operation,
            "classification_max": Classification(grant.classification_max),
        }
    )


def _write_grant(grant: Grant) -> policy_pb2.PolicyGrant:
    ceiling = finding_pb2.Classification.Name(grant.classification_max)
    return policy_pb2.PolicyGrant(role=grant.role, operation=grant.operation, classification_max=ceiling)


def _read_residency(residency: policy_pb2.PolicyResidency) -> Residency:
    return Residency(
        classification=Classification(residency.classification), regions=tuple(residency.regions)
    )


def _write_residency(residency: Residency) -> policy_pb2.PolicyResidency:
    classification = finding_pb2.Classification.Name(residency.classification)
    return policy_pb2.PolicyResidency(classification=classification, regions=residency.regions)


def timestamp(time_us: int) -> Timestamp:
    """Write a time in microseconds since the epoch."""
    return Timestamp(seconds=time_us // _MICROS, nanos=time_us % _MICROS * _NANOS)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})
