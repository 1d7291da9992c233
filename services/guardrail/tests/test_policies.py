"""Policies of organizations, through a real server: what they decide, how they are kept, and how soon they bind."""

import asyncio

import grpc.aio
import pytest
from penstock.guardrail.v1 import finding_pb2, policy_pb2
from penstock_guardrail import policy
from penstock_guardrail.cutter import Cutter
from penstock_guardrail.rules import Rules
from servicekit.errors import from_rpc_error

MAIL = "ann@example.com"
CARD = "card 4111 1111 1111 1111"
DRAFT, SHADOW, ENFORCED = (
    policy_pb2.POLICY_MODE_UNSPECIFIED,
    policy_pb2.POLICY_MODE_SHADOW,
    policy_pb2.POLICY_MODE_ENFORCED,
)
CONFIDENTIAL = finding_pb2.CLASSIFICATION_CONFIDENTIAL
RESTRICTED = finding_pb2.CLASSIFICATION_RESTRICTED


def rule(action, found_type="EMAIL_ADDRESS", **fields):
    values = {"classification": CONFIDENTIAL, **fields}
    return policy_pb2.PolicyRule(type=found_type, action=action, **values)


def grant(role, operation, classification_max=RESTRICTED):
    return policy_pb2.PolicyGrant(role=role, operation=operation, classification_max=classification_max)


async def test_a_policy_decides_for_its_organization_and_for_no_other(guardrail, policies):
    before = await guardrail.redact(MAIL)
    await policies.create("strict", mode=ENFORCED, rules=[rule(finding_pb2.ACTION_REFUSE)])
    after = await guardrail.redact(MAIL)
    assert after.action == finding_pb2.ACTION_REFUSE
    assert after.policy_version != before.policy_version
    other = await guardrail.redact(MAIL, organization="other")
    assert (other.action, other.policy_version) == (finding_pb2.ACTION_REDACT, before.policy_version)


async def test_masked_and_hashed_values_never_come_back(guardrail, policies, tools):
    mask, keyed_hash = finding_pb2.REPLACEMENT_MASK, finding_pb2.REPLACEMENT_HASH
    redact = finding_pb2.ACTION_REDACT
    both = [rule(redact, replacement=mask), rule(redact, "CREDIT_CARD", replacement=keyed_hash)]
    await policies.create("p", mode=ENFORCED, rules=both)
    sent = await guardrail.redact(f"{MAIL}, {CARD}")
    text = tools.text_of(sent, "")
    assert text.startswith("[EMAIL_ADDRESS], card [CREDIT_CARD#")
    assert not sent.redaction_session
    assert tools.text_of(await guardrail.redact(CARD, user="bob"), "") in text
    assert tools.text_of(await guardrail.restore(text), text) == text
    assert [finding.replacement for finding in sent.findings] == [mask, keyed_hash]


async def test_tokens_and_hashes_stand_beside_each_other(guardrail, policies, tools):
    hashed = rule(finding_pb2.ACTION_REDACT, "CREDIT_CARD", replacement=finding_pb2.REPLACEMENT_HASH)
    await policies.create("p", mode=ENFORCED, rules=[hashed])
    sent = await guardrail.redact(f"{MAIL}, {CARD}")
    text = tools.text_of(sent, "")
    restored = tools.text_of(await guardrail.restore(text, sent.redaction_session), text)
    assert restored.startswith(f"{MAIL}, card [CREDIT_CARD#")


@pytest.mark.parametrize(
    ("roles", "operation", "text", "allowed"),
    [
        (("admin",), "chat", CARD, True),
        (("admin",), "embed", CARD, False),
        (("data_scientist",), "chat", CARD, False),
        (("data_scientist",), "chat", MAIL, True),
        (("data_scientist",), "embed", MAIL, True),
        (("business_user",), "chat", MAIL, False),
        (("business_user",), "chat", "hello", True),
        (("business_user",), "embed", "hello", False),
        (("readonly",), "chat", "hello", False),
        (("readonly", "admin"), "chat", CARD, True),
        (("janitor",), "chat", "hello", False),
        ((), "chat", "hello", False),
    ],
)
async def test_what_no_grant_allows_is_refused(  # noqa: PLR0917 - a row of the matrix
    guardrail, policies, tools, roles, operation, text, allowed
):
    grants = [
        grant("admin", "chat"),
        grant("data_scientist", "chat", CONFIDENTIAL),
        grant("data_scientist", "embed", CONFIDENTIAL),
        grant("business_user", "chat", finding_pb2.CLASSIFICATION_INTERNAL),
    ]
    await policies.create("matrix", mode=ENFORCED, grants=grants)
    asked = tools.item(finding_pb2.DIRECTION_INPUT, [text], roles=roles)
    asked.operation = operation
    (result,) = await guardrail.inspect(asked)
    assert (result.action != finding_pb2.ACTION_REFUSE) is allowed
    denied = [finding for finding in result.findings if finding.type == "ACCESS_DENIED"]
    assert bool(denied) is not allowed
    assert not denied or operation in denied[0].evidence
    assert allowed or not result.redactions


async def test_answers_are_restored_only_for_those_who_may_see(guardrail, policies, tools):
    grants = [grant("admin", "chat"), grant("admin", "restore", CONFIDENTIAL)]
    await policies.create("p", mode=ENFORCED, grants=grants)
    sent = await guardrail.redact(f"{MAIL} {CARD}", roles=("admin",))
    text, session = tools.text_of(sent, ""), sent.redaction_session
    mail, _, rest = text.partition(" ")
    assert tools.text_of(await guardrail.restore(text, session, roles=("admin",)), text) == f"{MAIL} {rest}"
    assert (await guardrail.stream([text], session, roles=("admin",))).text == f"{MAIL} {rest}"
    assert tools.text_of(await guardrail.restore(text, session, roles=("readonly",)), text) == text
    assert (await guardrail.stream([text], session, roles=("readonly",))).text == text
    assert mail.startswith("[EMAIL_ADDRESS_1:")


@pytest.mark.parametrize(
    ("text", "region", "regions", "refused"),
    [
        ("hello", "", [], False),
        ("hello", "us", ["us"], False),
        (MAIL, "", ["ch", "eu"], False),
        (MAIL, "eu", ["eu"], False),
        (MAIL, "us", [], True),
        (CARD, "", ["eu"], False),
        (CARD, "ch", [], True),
    ],
)
async def test_sensitive_texts_stay_in_their_regions(guardrail, policies, text, region, regions, refused):
    residencies = [
        policy_pb2.PolicyResidency(classification=CONFIDENTIAL, regions=["eu", "ch"]),
        policy_pb2.PolicyResidency(classification=RESTRICTED, regions=["eu", "us"]),
    ]
    await policies.create("p", mode=ENFORCED, residencies=residencies)
    result = await guardrail.redact(text, region=region)
    assert list(result.regions) == regions
    assert ("REGION_DENIED" in {finding.type for finding in result.findings}) is refused
    assert (result.action == finding_pb2.ACTION_REFUSE) is refused


async def test_a_policy_is_made_read_changed_listed_and_ended(policies):
    made = await policies.create("p", display_name="one", retention_days=30)
    assert (made.name, made.revision) == ("organizations/acme/policies/p", 1)
    changed = await policies.update("p", display_name="two", mode=SHADOW, confidence_min=0.7)
    assert (changed.display_name, changed.revision, changed.retention_days) == ("two", 2, 0)
    assert await policies.get("p") == changed
    assert (await policies.get("p", revision=1)).display_name == "one"
    await policies.create("q")
    assert [policy.name[-1] for policy in await policies.list()] == ["p", "q"]
    await policies.delete("p")
    assert [policy.name[-1] for policy in await policies.list()] == ["q"]
    assert (await policies.get("p", revision=2)).display_name == "two"
    assert (await policies.create("p")).revision == 3


async def test_pages_of_policies_meet(policies):
    for name in ("a", "b", "c"):
        await policies.create(name)
    first = await policies.page(page_size=2)
    second = await policies.page(page_size=2, page_token=first.next_page_token)
    assert [policy.name[-1] for policy in (*first.policies, *second.policies)] == ["a", "b", "c"]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda policies: policies.create("p"), "RESOURCE_EXISTS"),
        (lambda policies: policies.get("absent"), "RESOURCE_NOT_FOUND"),
        (lambda policies: policies.update("absent"), "RESOURCE_NOT_FOUND"),
        (lambda policies: policies.delete("absent"), "RESOURCE_NOT_FOUND"),
        (lambda policies: policies.diff("absent"), "RESOURCE_NOT_FOUND"),
        (lambda policies: policies.get("p", revision=9), "RESOURCE_NOT_FOUND"),
        (lambda policies: policies.update("p", profiles=["iso"]), "INVALID_ARGUMENT"),
        (lambda policies: policies.update("p", rules=[rule(1), rule(2)]), "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_done_says_why_and_changes_nothing(policies, change, reason):
    before = await policies.create("p")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await change(policies)
    assert from_rpc_error(failed.value).reason == reason
    assert await policies.get("p") == before


async def test_of_two_enforced_policies_the_later_decides_and_the_former_is_a_draft(guardrail, policies):
    await policies.create("a", mode=ENFORCED, rules=[rule(finding_pb2.ACTION_REFUSE)])
    await policies.create("b", mode=ENFORCED, rules=[rule(finding_pb2.ACTION_ALLOW)])
    assert (await guardrail.redact(MAIL)).action == finding_pb2.ACTION_ALLOW
    assert (await policies.get("a")).mode == DRAFT
    await policies.delete("b")
    assert (await guardrail.redact(MAIL)).action == finding_pb2.ACTION_REDACT


async def test_a_diff_says_what_a_shadow_would_change(policies):
    await policies.create("now", mode=ENFORCED, rules=[rule(finding_pb2.ACTION_ALLOW)])
    await policies.create("then", mode=SHADOW, profiles=["pci-dss"], grants=[grant("admin", "chat")])
    found = {each.subject: (each.before, each.after) for each in await policies.diff("then")}
    assert found["rules/EMAIL_ADDRESS"] == ("allow token confidential", "redact token confidential")
    assert found["rules/CREDIT_CARD"] == ("redact token restricted", "redact mask restricted")
    assert found["grants/business_user/chat"] == ("restricted", "")
    assert "grants/admin/chat" not in found


async def test_a_shadow_decides_nothing_and_is_written_down_and_counted(guardrail, policies, audit):
    await policies.create("s", mode=SHADOW, rules=[rule(finding_pb2.ACTION_REFUSE)])
    assert (await guardrail.redact(MAIL)).action == finding_pb2.ACTION_REDACT
    await guardrail.redact("hello")
    told, clean = (await audit.records("decision", 2))[:2]
    refused = {"action": "REFUSE", "types": {"EMAIL_ADDRESS": "REFUSE"}}
    assert told["shadow"] == {"policy": "organizations/acme/policies/s@1", **refused}
    assert "shadow" not in clean


async def test_a_shadow_that_does_the_same_with_a_text_but_not_with_a_type_is_written_down(
    guardrail, policies, audit
):
    await policies.create("s", mode=SHADOW, rules=[rule(finding_pb2.ACTION_REDACT, "DATE_TIME")])
    await guardrail.redact(f"{MAIL} on 2026-11-21")
    (told,) = await audit.records("decision")
    assert (told["shadow"]["action"], told["shadow"]["types"]) == ("REDACT", {"DATE_TIME": "REDACT"})


async def test_a_shadow_finds_what_only_it_looks_for_in_prompts_answers_and_streams(
    guardrail, policies, audit
):
    badge = policy_pb2.PolicyRecognizer(name="badge", type="BADGE", pattern="EMP-[0-9]{5}")
    zeus = policy_pb2.PolicyTopic(name="mergers", terms=["project zeus"])
    rules = [rule(finding_pb2.ACTION_REFUSE, name) for name in ("TOPIC_MERGERS", "PERSON")]
    await policies.create("s", mode=SHADOW, recognizers=[badge], topics=[zeus], rules=rules)
    assert (await guardrail.redact("What about Project Zeus?")).action == finding_pb2.ACTION_ALLOW
    assert (
        await guardrail.restore("Dear Mrs. Anna Lindqvist, thank you.")
    ).action == finding_pb2.ACTION_ALLOW
    assert (await guardrail.stream(["Your badge is EM", "P-12345."])).text == "Your badge is EMP-12345."
    told = [each["shadow"]["types"] for each in await audit.records("decision", 3)]
    assert told == [{"TOPIC_MERGERS": "REFUSE"}, {"PERSON": "REFUSE"}, {"BADGE": "REDACT"}]


async def test_a_change_binds_on_every_replica(start, policies_of, tools, postgres_url):
    """P8. The replicas share a PostgreSQL; how soon it binds is a setting that cannot be above 1.5 s."""
    async with (
        start(database_url=postgres_url) as (first, _),
        start(database_url=postgres_url) as (second, _),
    ):
        policies = policies_of(first)
        for action in (
            finding_pb2.ACTION_REFUSE,
            finding_pb2.ACTION_ALLOW,
            finding_pb2.ACTION_RESTRICT_TO_PRIVATE,
        ):
            change = policies.update if action != finding_pb2.ACTION_REFUSE else policies.create
            await change("p", mode=ENFORCED, rules=[rule(action)])
            assert (await first.redact(MAIL)).action == action

            async def bound(wanted=action):
                return (await second.redact(MAIL)).action == wanted

            await tools.until(bound)
        versions = {(await each.redact("hello")).policy_version for each in (first, second)}
        assert len(versions) == 1


async def test_policies_outlive_a_restart(start, policies_of):
    async with start() as (guardrail, _):
        await policies_of(guardrail).create("p", mode=ENFORCED, rules=[rule(finding_pb2.ACTION_REFUSE)])
    async with start() as (guardrail, _):
        assert (await guardrail.redact(MAIL)).action == finding_pb2.ACTION_REFUSE


async def test_what_a_shadow_would_decide_is_counted(start, policies_of):
    async with start() as (guardrail, server):
        await policies_of(guardrail).create("s", mode=SHADOW, rules=[rule(finding_pb2.ACTION_REFUSE)])
        for text in (MAIL, MAIL, "hello"):
            await guardrail.redact(text)
        reader, writer = await asyncio.open_connection(server.host, server.http_port)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        metrics = (await reader.read()).decode()
        writer.close()
    counter = "penstock_guardrail_shadowed_total"
    assert f'{counter}{{action="redact",shadow_action="refuse"}} 2.0' in metrics
    assert f'{counter}{{action="allow",shadow_action="allow"}} 1.0' in metrics


def test_names_are_looked_for_only_where_the_policy_does_something_with_them(rules: Rules) -> None:
    allowed = policy.Rule(action=policy.Action.ALLOW, classification=rules.policy.nothing_found)
    indifferent = rules.policy.model_copy(update={"types": {**rules.policy.types, "TITLE": allowed}})
    text = "Dear Mrs. Anna Lindqvist, thank you for your letter."

    def found(under: policy.Policy) -> set[str]:
        pieces = Cutter(rules.under(under).incoming).finish(text)
        return {piece.found.type for piece in pieces if piece.found is not None}

    assert "PERSON" in found(rules.policy)
    assert found(indifferent) == set()
    assert rules.under(indifferent).version != rules.version
