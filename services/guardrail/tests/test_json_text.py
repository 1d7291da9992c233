"""What is put in place of something in a JSON object leaves it JSON, whole and streamed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.guardrail.v1 import finding_pb2, policy_pb2
from penstock_guardrail.json_text import JsonText

CARD, MAIL = "4111 1111 1111 1111", "ann@example.com"
PASSWORD = 'Zk8"w\\4vQpL2'


async def test_arguments_of_a_tool_stay_json_when_numbers_are_redacted_and_come_back(guardrail, tools):
    arguments = '{"card": 4111111111111111, "note": "pay \\"now\\"", "to": ["ann@example.com"]}'
    sent = await guardrail.redact(arguments)
    redacted = json.loads(tools.text_of(sent, arguments))
    assert redacted["card"].startswith("[CREDIT_CARD_1:")
    said = json.dumps(redacted)
    back = await guardrail.restore(said, sent.redaction_session)
    assert json.loads(tools.text_of(back, said)) == {**json.loads(arguments), "card": "4111111111111111"}
    new = await guardrail.restore('{"card": 4111111111111111}')
    assert json.loads(tools.text_of(new, "")) == {"card": "[CREDIT_CARD]"}


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_what_is_restored_within_a_string_is_escaped_there_and_nowhere_else(
    guardrail, tools, policies, size
):
    quoted = policy_pb2.PolicyRecognizer(name="quoted", type="QUOTED", pattern="<<[!-;?-~]{1,64}>>")
    await policies.create("p", mode=policy_pb2.POLICY_MODE_ENFORCED, recognizers=[quoted])
    sent = await guardrail.redact(f"use <<{PASSWORD}>>")
    token = tools.text_of(sent, "").removeprefix("use ")
    said = json.dumps({"quoted": f'"{token}"', "text": token})
    parts = [said[at : at + size] for at in range(0, len(said), size)]
    streamed = (await guardrail.stream(parts, sent.redaction_session)).text
    assert json.loads(streamed) == {"quoted": f'"<<{PASSWORD}>>"', "text": f"<<{PASSWORD}>>"}
    told = await guardrail.stream([f'He said "{token}".'], sent.redaction_session)
    assert told.text == f'He said "<<{PASSWORD}>>".'


async def test_a_value_has_one_token_in_words_and_in_json(guardrail, tools):
    sent = await guardrail.inspect(
        tools.item(
            finding_pb2.DIRECTION_INPUT, [f"mail {MAIL}", json.dumps({"mail": MAIL}).replace("@", "\\u0040")]
        )
    )
    assert [each.text.count("[EMAIL_ADDRESS_1:") for each in sent[0].redactions] == [1, 1]


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)), st.data())
def test_a_place_is_the_same_for_every_split(value, data):
    text = json.dumps({"a": value})
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, at))
    whole, parted = JsonText(), JsonText()
    whole.place(text[:at])
    parted.place(text[:cut])
    parted.place(text[cut:at])
    assert whole.place("x") is parted.place("x")
