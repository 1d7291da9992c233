"""What is decided, and how policies are named."""

import pytest
import yaml
from penstock_guardrail.policy import Action, Classification, parse
from penstock_guardrail.server import build
from penstock_guardrail.settings import GuardrailSettings

POLICY = """
confidence_min: 0.9
nothing_found: public
types:
  EMAIL_ADDRESS: {action: allow, classification: internal}
  CREDIT_CARD: {action: restrict_to_private, classification: restricted}
  IBAN_CODE: {action: refuse, classification: confidential}
other_types: {action: redact, classification: confidential}
grants:
  - {role: business_user, operation: chat, classification_max: restricted}
"""


def test_a_policy_decides_by_type_and_confidence():
    policy = parse(POLICY)
    assert policy.action("CREDIT_CARD", 0.95) is Action.RESTRICT_TO_PRIVATE
    assert policy.action("CREDIT_CARD", 0.89) is Action.ALLOW
    assert policy.action("SECRET", 0.9) is Action.REDACT
    assert policy.rule("SECRET").classification is Classification.CONFIDENTIAL


def test_equal_content_is_an_equal_version_and_any_change_is_another():
    versions = {
        parse(text).version(recognizers)
        for text, recognizers in (
            (POLICY, ["card/1", "email/1"]),
            (f"# said otherwise\n{POLICY}", ["email/1", "card/1"]),
            (POLICY.replace("0.9", "0.8"), ["card/1", "email/1"]),
            (POLICY, ["card/2", "email/1"]),
        )
    }
    assert len(versions) == 3


@pytest.mark.parametrize(
    "change",
    [("action: allow", "action: alow"), ("nothing_found: public", ""), ("0.9", "1.9"), ("types:", "kinds:")],
)
def test_what_is_no_policy_is_refused_with_the_place(change):
    with pytest.raises(ValueError, match=r"action|nothing_found|confidence_min|kinds"):
        parse(POLICY.replace(*change))


async def test_a_policy_of_ones_own_is_a_setting(start, tools, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    async with start(policy=path) as (guardrail, _server):
        mail = await guardrail.redact("ann@example.com")
        assert (mail.action, mail.classification) == (Action.ALLOW, Classification.INTERNAL)
        assert [finding.action for finding in mail.findings] == [Action.ALLOW]
        assert not mail.redactions
        card = await guardrail.redact("ann@example.com 4111 1111 1111 1111")
        assert (card.action, card.classification) == (Action.RESTRICT_TO_PRIVATE, Classification.RESTRICTED)
        assert (await guardrail.redact("DE89370400440532013000")).action == Action.REFUSE
        assert (await guardrail.redact("hello")).classification == Classification.PUBLIC


async def test_a_policy_that_cannot_be_read_ends_the_start(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("{")
    settings = GuardrailSettings(data_dir=tmp_path, policy=path)
    with pytest.raises(yaml.YAMLError):
        async with build(settings):
            pass
