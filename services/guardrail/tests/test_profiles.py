"""The regulations: every clause of every profile, and the policies that they make."""

import pytest
from penstock.guardrail.v1 import finding_pb2, policy_pb2
from penstock_guardrail.policies.profile import load_profiles
from penstock_guardrail.policies.spec import Spec, audit_fields, differences, policy_of
from penstock_guardrail.policy import Action, Classification, Replacement, Rule

PROFILES = load_profiles()
CLAUSES = [(name, clause) for name, profile in PROFILES.items() for clause in profile.clauses]
WEAKEST = Rule(action=Action.ALLOW, classification=Classification.PUBLIC)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----"
SAMPLES = {
    "EMAIL_ADDRESS": "ann@example.com",
    "CREDIT_CARD": "card 4111 1111 1111 1111",
    "IBAN_CODE": "DE89370400440532013000",
    "US_SSN": "my ssn is 536-90-4399",
    "IP_ADDRESS": "the server at 84.17.23.9",
    "PRIVATE_KEY": PEM,
}
FOUND = [(name, clause, found) for name, clause in CLAUSES for found in clause.types if found in SAMPLES]


def test_the_profiles_are_those_that_are_promised():
    assert set(PROFILES) == {"gdpr", "hipaa", "sox", "pci-dss", "soc2"}


@pytest.mark.parametrize(("name", "clause"), CLAUSES, ids=lambda part: getattr(part, "clause", part))
def test_a_clause_holds_whatever_the_organization_says(rules, name, clause):
    lenient = Spec(profiles=(name,), types=dict.fromkeys(clause.types, WEAKEST), retention_days=1)
    policy = policy_of(rules.policy, lenient, PROFILES)
    for found_type in clause.types:
        rule = policy.rule(found_type)
        assert rule.action >= clause.action
        assert rule.classification >= clause.classification
        assert rule.replacement >= clause.replacement
        assert clause.audit_field in audit_fields(lenient, PROFILES)[found_type]
    assert policy.retention_days >= clause.retention_days


@pytest.mark.parametrize(
    ("name", "clause", "found_type"), FOUND, ids=lambda part: getattr(part, "clause", part)
)
async def test_a_clause_is_kept_on_real_text(guardrail, policies, name, clause, found_type):
    await policies.create("rule", mode=policy_pb2.POLICY_MODE_ENFORCED, profiles=[name])
    result = await guardrail.redact(SAMPLES[found_type])
    assert found_type in {finding.type for finding in result.findings}
    assert result.action >= clause.action
    assert result.classification >= clause.classification
    if result.action == finding_pb2.ACTION_REDACT:
        (redaction,) = result.redactions
        form = {Replacement.TOKEN: "_1:", Replacement.HASH: "#", Replacement.MASK: "]"}[clause.replacement]
        assert f"[{found_type}{form}" in redaction.text


def test_profiles_together_are_as_strict_as_each_alone(rules):
    both = policy_of(rules.policy, Spec(profiles=("gdpr", "pci-dss", "sox")), PROFILES)
    assert both.rule("SECRET").action is Action.REFUSE
    assert both.rule("SECRET").replacement is Replacement.MASK
    assert both.rule("US_SSN").replacement is Replacement.HASH
    assert both.retention_days == 2555


def test_a_diff_names_all_that_changes_and_nothing_else(rules):
    changed = policy_of(rules.policy, Spec(types={"EMAIL_ADDRESS": WEAKEST}, retention_days=30), PROFILES)
    assert differences(rules.policy, changed) == [
        ("retention_days", "365", "30"),
        ("rules/EMAIL_ADDRESS", "redact token confidential", "allow token public"),
    ]
    assert not differences(changed, changed)
