"""GuardrailService through a real server: redact, restore, refuse, whole and as it flows."""

import asyncio
import time

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.guardrail.v1 import finding_pb2
from servicekit.errors import from_rpc_error

PROMPT = "Write to ann@example.com, card 4111 1111 1111 1111; cc ann@example.com."
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----"


async def test_what_goes_in_redacted_comes_out_restored(guardrail, tools):
    sent = await guardrail.redact(PROMPT)
    masked = tools.text_of(sent, PROMPT)
    assert "ann@" not in masked
    assert "4111" not in masked
    assert sent.action == finding_pb2.ACTION_REDACT
    assert sent.classification == finding_pb2.CLASSIFICATION_RESTRICTED
    answered = await guardrail.restore(f"Done: {masked}", sent.redaction_session)
    assert tools.text_of(answered, "") == f"Done: {PROMPT}"
    assert answered.action == finding_pb2.ACTION_ALLOW
    assert answered.classification == finding_pb2.CLASSIFICATION_RESTRICTED


async def test_the_same_value_gets_the_same_token_in_one_request_and_in_the_next(guardrail, tools):
    first = await guardrail.redact("ann@example.com", "bob@example.com and ann@example.com")
    ann, both = (tools.text_of(first, "", segment) for segment in range(2))
    assert ann.startswith("[EMAIL_ADDRESS_1:")
    assert both.startswith("[EMAIL_ADDRESS_2:")
    assert both.endswith(ann)
    again = await guardrail.redact("ann@example.com")
    assert tools.text_of(again, "") == ann
    assert again.redaction_session != first.redaction_session


async def test_nobody_else_gets_the_same_token(guardrail, tools):
    tokens = {
        tools.text_of(await guardrail.redact("ann@example.com", **who), "")
        for who in ({}, {"user": "bob"}, {"organization": "other"}, {"user": ""})
    }
    assert len(tokens) == 4


async def test_clean_text_passes_as_it_is(guardrail):
    result = await guardrail.redact("What is the capital of France?")
    assert result.action == finding_pb2.ACTION_ALLOW
    assert result.classification == finding_pb2.CLASSIFICATION_INTERNAL
    assert not result.redactions
    assert not result.findings
    assert not result.redaction_session
    assert result.policy_version


async def test_findings_say_where_and_why_and_never_what(guardrail):
    text = "😀 card: 4111\u200b1111 1111 1111"
    found = (await guardrail.redact("clean", text)).findings
    (finding,) = [each for each in found if each.type == "CREDIT_CARD"]
    assert (finding.type, finding.segment_index) == ("CREDIT_CARD", 1)
    assert text[finding.start : finding.end] == "4111\u200b1111 1111 1111"
    assert finding.recognizer == "card/2"
    assert finding.evidence == "luhn checksum passed; issuer range visa; context word"
    assert finding.confidence == 0.99
    assert finding.action == finding_pb2.ACTION_REDACT
    assert "1111" not in str(finding)


async def test_a_private_key_is_refused_and_nothing_is_kept(guardrail):
    result = await guardrail.redact(f"{PEM} ann@example.com")
    assert result.action == finding_pb2.ACTION_REFUSE
    assert not result.redactions
    assert not result.redaction_session
    assert {finding.type for finding in result.findings} == {"PRIVATE_KEY", "EMAIL_ADDRESS"}


async def test_stream_flag_never_bypasses(guardrail, tools):
    """Whole or streamed, in pieces of any size: the same text, the same verdict, the same findings."""
    sent = await guardrail.redact(PROMPT)
    masked = tools.text_of(sent, PROMPT)
    for text in (f"{masked} new@example.org", f"Sure: {PEM}, bye", "clean", f"{masked[:-1]} [CARD_1:aaaa"):
        whole = await guardrail.restore(text, sent.redaction_session)
        for size in (1, 7, len(text)):
            pieces = [text[at : at + size] for at in range(0, len(text), size)]
            streamed = await guardrail.stream(pieces, sent.redaction_session)
            assert streamed.text == tools.text_of(whole, text)
            assert max(streamed.actions) == whole.action
            assert streamed.findings == list(whole.findings)


async def test_masking_on_output_and_stream(guardrail, tools):
    text = "Call bob@example.org"
    assert tools.text_of(await guardrail.restore(text), text) == "Call [EMAIL_ADDRESS]"
    streamed = await guardrail.stream(list(text))
    assert streamed.text == "Call [EMAIL_ADDRESS]"
    assert max(streamed.actions) == finding_pb2.ACTION_REDACT


async def test_every_delta_and_every_finish_is_answered_once_and_says_what_is_held(guardrail):
    streamed = await guardrail.stream(["Write to bob@", "example.o", "rg. "], choice=5)
    assert [response.choice_index for response in streamed.responses] == [5] * 4
    assert [response.finished for response in streamed.responses] == [False, False, False, True]
    assert [response.held_characters for response in streamed.responses] == [4, 13, 0, 0]
    assert [response.text for response in streamed.responses] == ["Write to ", "", "[EMAIL_ADDRESS]. ", ""]


async def test_a_list_has_an_outcome_for_each_item_in_order(guardrail, tools):
    into, out = finding_pb2.DIRECTION_INPUT, finding_pb2.DIRECTION_OUTPUT
    past = Timestamp()
    past.FromNanoseconds(time.time_ns() - 10**9)
    results = await guardrail.inspect(
        tools.item(into, ["ann@example.com"]),
        tools.item(into, ["late"], deadline_time=past),
        tools.item(out, ["bob@example.org"]),
        tools.item(into, [PEM]),
        tools.item(into, []),
        tools.item(out, ["[EMAIL_ADDRESS_1:aaaa]"], "rs_unknown"),
        *(tools.item(into, [f"user{number}@example.com"]) for number in range(100)),
    )
    assert tools.text_of(results[0], "").startswith("[EMAIL_ADDRESS_1:")
    assert tools.reason(results[1].status) == "DEADLINE_EXCEEDED"
    assert tools.text_of(results[2], "") == "[EMAIL_ADDRESS]"
    assert results[3].action == finding_pb2.ACTION_REFUSE
    assert results[4].action == results[5].action == finding_pb2.ACTION_ALLOW
    assert len({result.redaction_session for result in results[6:]}) == 100


async def test_a_text_that_is_too_long_is_refused_and_never_skipped(start, tools):
    async with start(item_characters_max=2048) as (guardrail, _server):
        for texts in (["a " * 2000], ["a " * 500] * 3):
            result = await guardrail.redact(*texts)
            assert result.action == finding_pb2.ACTION_REFUSE
            assert [finding.type for finding in result.findings] == ["TEXT_TOO_LONG"]
        assert (await guardrail.restore("a " * 2000)).action == finding_pb2.ACTION_REFUSE
        assert max((await guardrail.stream(["a " * 900] * 3)).actions) == finding_pb2.ACTION_REFUSE
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await guardrail.redact("a" * 4_194_305)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_with_more_findings_than_anyone_writes_is_refused(guardrail):
    for texts in (["ann@example.com " * 16_385], ["ann@example.com " * 1000] * 17):
        result = await guardrail.redact(*texts)
        assert result.action == finding_pb2.ACTION_REFUSE
        assert result.findings[-1].type == "TOO_MANY_FINDINGS"


async def test_a_large_text_does_not_keep_small_ones_waiting(guardrail):
    """The large one is screened in a thread, so the small ones are answered while it is."""
    large = asyncio.create_task(guardrail.redact("4000 " * 100_000))
    small = await guardrail.redact("hello")
    assert small.action == finding_pb2.ACTION_ALLOW
    assert not large.done()
    await large


@pytest.mark.parametrize(
    "messages",
    [
        lambda tools: [tools.delta("hello")],
        lambda tools: [tools.opening(), tools.opening()],
        lambda tools: [tools.opening(direction=finding_pb2.DIRECTION_INPUT)],
        lambda tools: [tools.opening(), tools.finish(), tools.delta("more")],
        lambda tools: [tools.opening(), tools.delta("hello", choice=128)],
        lambda tools: [tools.opening(organization="")],
    ],
)
async def test_messages_out_of_order_are_refused(guardrail, tools, messages):
    call = guardrail.stub.InspectStream(iter(messages(tools)), timeout=60)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _response in call:
            pass
    error = from_rpc_error(refused.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")


async def test_a_stream_that_is_closed_before_it_is_opened_ends_well(guardrail):
    call = guardrail.stub.InspectStream(iter([]), timeout=60)
    assert [response async for response in call] == []


async def test_no_value_is_in_any_log_or_metric(start, capfd):
    values = ("ann@example.com", "4111 1111", "MIIEvQIBADANBgkqhkiG9w0B", "hunter2!x")
    async with start() as (guardrail, server):
        sent = await guardrail.redact(PROMPT, 'password = "hunter2!x"', "x" * 10)
        await guardrail.redact(PEM)
        await guardrail.restore("bob ann@example.com", sent.redaction_session)
        await guardrail.stream(list(PROMPT), sent.redaction_session)
        with pytest.raises(grpc.aio.AioRpcError):
            await guardrail.stub.Inspect(b"ann@example.com", timeout=60)
        reader, writer = await asyncio.open_connection(server.host, server.http_port)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        metrics = (await reader.read()).decode()
        writer.close()
    written = "".join(capfd.readouterr()) + metrics
    assert 'penstock_guardrail_findings_total{action="redact",type="EMAIL_ADDRESS"}' in metrics
    assert "penstock_guardrail_held_characters_bucket" in metrics
    assert not [value for value in values if value in written]


@pytest.mark.parametrize("first", [0xE0000, 0xE00F0], ids=["tags", "selectors of variants"])
async def test_what_is_written_for_a_model_alone_is_redacted_and_comes_back(guardrail, tools, first):
    def hidden(text):
        return "".join(chr(first + ord(each)) for each in text)

    card = hidden("4111 1111 1111 1111")
    text = f"Nice weather{hidden(', bill ')}{card} \U0001f3f4{hidden('gbeng')}\U000e007f, write to ann@example.com"
    sent = await guardrail.redact(text)
    assert [(each.type, text[each.start : each.end]) for each in sent.findings] == [
        ("CREDIT_CARD", card),
        ("EMAIL_ADDRESS", "ann@example.com"),
    ]
    redacted = tools.text_of(sent, text)
    assert card not in redacted
    assert hidden("gbeng") in redacted
    assert tools.text_of(await guardrail.restore(redacted, sent.redaction_session), redacted) == text
