"""Toxicity, topics and recognizers of organizations: found whole or streamed, bounded, or refused."""

import random

import grpc.aio
import pytest
from penstock.guardrail.v1 import finding_pb2, policy_pb2
from penstock_guardrail.answer import Answer
from penstock_guardrail.custom.detector import CustomDetector
from penstock_guardrail.policy import Recognizer, Topic
from penstock_guardrail.topics.detector import TopicDetector
from servicekit.errors import from_rpc_error

ENFORCED = policy_pb2.POLICY_MODE_ENFORCED
REDACT, REFUSE, ALLOW = finding_pb2.ACTION_REDACT, finding_pb2.ACTION_REFUSE, finding_pb2.ACTION_ALLOW


def rule(found_type, action):
    classification = finding_pb2.CLASSIFICATION_CONFIDENTIAL
    return policy_pb2.PolicyRule(type=found_type, action=action, classification=classification)


def employee(**changes):
    fields = {"name": "employee", "type": "EMPLOYEE_ID", "pattern": r"\bE-[0-9]{6}\b", **changes}
    return policy_pb2.PolicyRecognizer(**fields)


def toxic(result):
    return [finding for finding in result.findings if finding.type.startswith("TOXICITY")]


@pytest.mark.parametrize(
    ("text", "found_type", "action"),
    [
        ("I will kill you tomorrow.", "TOXICITY_THREAT", REFUSE),
        ("Ich werde dich töten!", "TOXICITY_THREAT", REFUSE),
        ("All immigrants are vermin", "TOXICITY_HATE", REFUSE),
        ("You are such a worthless idiot", "TOXICITY_HARASSMENT", ALLOW),
        ("I want to end my life", "TOXICITY_SELF_HARM", ALLOW),
    ],
)
async def test_phrases_of_harm_are_found_and_policy_decides(guardrail, text, found_type, action):
    result = await guardrail.redact(text)
    assert result.action == action
    assert [finding.type for finding in toxic(result)] == [found_type]


async def test_a_phrase_that_is_quoted_is_reported_and_passes(guardrail):
    result = await guardrail.redact("In chapter two of the novel the thief shouts: I will kill you!")
    assert result.action == ALLOW
    (finding,) = toxic(result)
    assert finding.evidence == "phrase of a list; quoted, told or asked about"


async def test_what_only_sounds_harsh_is_no_toxicity(guardrail):
    for text in ("How do I kill a process in Linux?", "This bug is killing me", "Shoot the film at noon"):
        assert not toxic(await guardrail.redact(text))


async def test_an_answer_full_of_hate_ends_before_the_phrase(guardrail):
    streamed = await guardrail.stream(list("Sure: all immigrants are vermin, they said."))
    assert streamed.text == "Sure: "
    assert max(streamed.actions) == REFUSE


async def test_an_organizations_recognizer_and_topic_are_its_own(guardrail, policies, tools):
    await policies.create(
        "own",
        mode=ENFORCED,
        rules=[rule("EMPLOYEE_ID", REDACT), rule("TOPIC_RIVAL_BRANDS", REFUSE)],
        recognizers=[employee()],
        topics=[policy_pb2.PolicyTopic(name="rival-brands", terms=["Globex Corp", "Übertool"])],
    )
    text = "Ask E-123456 about it"
    sent = await guardrail.redact(text)
    assert tools.text_of(sent, text).startswith("Ask [EMPLOYEE_ID_1:")
    assert tools.text_of(await guardrail.restore(tools.text_of(sent, ""), sent.redaction_session), "") == text
    assert (await guardrail.redact("Is GLOBEX-corp cheaper?")).action == REFUSE
    assert (await guardrail.redact("We sell ÜBERTOOL")).action == REFUSE
    other = await guardrail.redact(text, "Globex Corp", organization="other")
    assert not [each for each in other.findings if each.type.startswith(("EMPLOYEE", "TOPIC"))]
    streamed = await guardrail.stream(list("Yes, E-123456 and E-1234567 are"))
    assert streamed.text == "Yes, [EMPLOYEE_ID] and E-1234567 are"
    (kept,) = await policies.list()
    assert kept.recognizers[0].pattern == employee().pattern
    assert list(kept.topics[0].terms) == ["Globex Corp", "Übertool"]


async def test_context_words_make_a_match_believed(guardrail, policies):
    recognizer = employee(pattern="[0-9]{6}", context=["staff", "employee"])
    await policies.create("own", mode=ENFORCED, rules=[rule("EMPLOYEE_ID", REDACT)], recognizers=[recognizer])
    assert (await guardrail.redact("employee 123456")).action == REDACT
    assert (await guardrail.redact("it took 123456 steps")).action == ALLOW


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a*", "matches nothing"),
        (".*x", "more than 256 characters"),
        ("[0-9]+", "more than 256 characters"),
        ("(?:[a-z]{1,20}){1,20}", "more than 256 characters"),
        ("(?:a|b|c|d|e|f|g|h|i){1,240}", "parts"),
        ("(a)b", "cannot write"),
        ("(?=a)b", "cannot write"),
        (r"([ab])\1", "cannot write"),
        ("x{3,1}", "repeats"),
        ("(?:ab", r"lacks a \)"),
    ],
)
async def test_a_pattern_that_could_not_be_streamed_is_refused_when_it_is_written(policies, pattern, message):
    with pytest.raises(grpc.aio.AioRpcError, match=message) as refused:
        await policies.create("own", mode=ENFORCED, recognizers=[employee(pattern=pattern)])
    error = from_rpc_error(refused.value)
    assert (error.reason, error.metadata["field"]) == ("INVALID_ARGUMENT", "policy.recognizers")


async def test_a_term_that_could_not_be_found_and_a_name_that_stands_twice_are_refused(policies):
    for own in (
        {"topics": [policy_pb2.PolicyTopic(name="t", terms=["Привет"])]},
        {"topics": [policy_pb2.PolicyTopic(name="t", terms=["--"])]},
        {
            "topics": [
                policy_pb2.PolicyTopic(name="t", terms=["a"]),
                policy_pb2.PolicyTopic(name="t", terms=["b"]),
            ]
        },
        {"recognizers": [employee(), employee(pattern="x")]},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await policies.create("own", mode=ENFORCED, **own)
        assert from_rpc_error(refused.value).reason == "INVALID_ARGUMENT"


def test_streamed_equals_whole_for_own_recognizers_topics_and_toxicity(rules):
    own = rules.policy.model_copy(
        update={
            "recognizers": (
                Recognizer(name="order", type="ORDER", pattern=r"(?:AB|ABC)-?[0-9]{2,8}(?:/[a-z]{1,3}){0,2}"),
            ),
            "topics": (Topic(name="rivals", terms=("globex", "globex corp ltd", "glob")),),
        }
    )
    strict = rules.under(own)
    rng = random.Random(5)
    parts = [
        "AB",
        "C-",
        "12",
        "345",
        "/a",
        "/bcd",
        " ",
        "globex",
        " corp",
        " ltd",
        "glob",
        "I will ",
        "kill ",
        "you",
        ". ",
    ]
    for _ in range(300):
        text = "".join(rng.choice(parts) for _ in range(rng.randint(1, 12)))
        whole = Answer(strict, {}).finish(text)
        for at in range(len(text) + 1):
            answer = Answer(strict, {})
            pieces = [answer.push(text[:at]), answer.push(text[at:]), answer.finish()]
            assert "".join(piece.text for piece in pieces) == whole.text, (text, at)
            assert [each for piece in pieces for each in piece.findings] == list(whole.findings)


def test_regex_is_linear(rules):
    """Patterns made to backtrack find nothing, soon: nothing here backtracks."""
    detector = CustomDetector(Recognizer(name="worst", type="X", pattern="(?:a|b|ab){1,100}c"))
    view = b"ab" * 50_000
    assert list(detector.find(view, 0, len(view))) == []
    topic = TopicDetector(Topic(name="worst", terms=tuple("a" * length for length in range(1, 65))))
    assert list(topic.find(b"a" * 100_000, 0, 100_000)) == []
