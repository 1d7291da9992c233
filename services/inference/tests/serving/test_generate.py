"""Answers of the real model through the real server."""

import asyncio
import json
import math

import pytest
from inference_client import GREEDY, MODEL, Answer, Client, collect, generate_request
from penstock.router.v1 import chat_message_pb2, tool_pb2
from penstock.router.v1.chat_completion_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
)
from penstock.router.v1.chat_message_pb2 import CHAT_ROLE_ASSISTANT, CHAT_ROLE_SYSTEM, CHAT_ROLE_USER
from testkit.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAPITAL = "The capital of France is"


async def test_the_capital_of_france_is_paris(client: Client) -> None:
    assert "Paris" in (await client.answer(CAPITAL, max_tokens=4, **GREEDY)).text


async def test_a_conversation_is_answered_until_the_model_ends_its_turn(client: Client) -> None:
    turns = [
        (CHAT_ROLE_SYSTEM, "You are a helpful assistant."),
        (CHAT_ROLE_USER, "Name the capital of France."),
    ]
    answer = await client.answer(turns, **GREEDY)
    assert answer.text == "The capital of France is Paris."
    assert answer.finish_reason == FINISH_REASON_STOP
    assert answer.completion_tokens == 8


async def test_events_come_in_order_and_as_they_are_made(client: Client) -> None:
    events = [
        response async for response in client.stream(generate_request(CAPITAL, max_tokens=24, **GREEDY))
    ]
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[0] == "started"
    assert kinds[-1] == "finished"
    assert set(kinds[1:-1]) == {"delta"}
    assert len(kinds) > 4
    assert events[0].started.prompt_tokens == 5
    assert events[0].started.model == MODEL
    assert events[0].started.fingerprint
    assert events[-1].finished.completion_tokens == 24
    assert events[-1].finished.finish_reason == FINISH_REASON_LENGTH


async def test_a_stop_text_ends_the_answer_before_itself(client: Client) -> None:
    whole = await client.answer(CAPITAL, max_tokens=24, **GREEDY)
    word = whole.text.split()[-2]
    for stop in (word, word[1:], f" {word}", whole.text[10:30]):
        stopped = await client.answer(CAPITAL, max_tokens=24, stop=("never to be found", stop), **GREEDY)
        assert stopped.text == whole.text[: whole.text.index(stop)]
        assert stopped.finish_reason == FINISH_REASON_STOP
        assert stopped.completion_tokens < 24


async def test_text_held_back_for_a_stop_text_comes_when_the_answer_ends(client: Client) -> None:
    whole = await client.answer(CAPITAL, max_tokens=12, **GREEDY)
    held = await client.answer(CAPITAL, max_tokens=12, stop=(whole.text[-6:] + " and no more",), **GREEDY)
    assert held.text == whole.text


async def test_a_seed_gives_the_same_answer_alone_and_among_eight_others(client: Client) -> None:
    def mine():
        return client.answer("Once upon a time", max_tokens=24, seed=7, temperature=1.0, top_p=0.95)

    alone = await mine()
    prompts = [f"{place} reasons to love {'the sea ' * (place * 12)}" for place in range(8)]
    others = [client.answer(prompt, max_tokens=40, organization=f"org-{prompt[0]}") for prompt in prompts]
    together, *_ = await asyncio.gather(mine(), *others)
    assert together.text == alone.text
    other_seed = await client.answer("Once upon a time", max_tokens=24, seed=8, temperature=1.0, top_p=0.95)
    assert other_seed.text != alone.text


async def test_an_answer_has_the_same_bits_from_a_cold_and_from_a_warm_prefix(client: Client) -> None:
    prompt = "The history of the lighthouse is long. " * 36
    parameters = {"max_tokens": 6, "logprobs": True, "organization": "cold-and-warm", **GREEDY}
    cold = await client.answer(prompt, **parameters)
    request = generate_request(prompt, **parameters)
    answers = [type(cold)()]
    async for response in client.stream(request):
        collect(response, answers)
        if response.WhichOneof("event") == "started":
            assert response.started.cached_prompt_tokens == 272
    assert answers[0].text == cold.text
    assert [token.logprob for token in answers[0].logprobs] == [token.logprob for token in cold.logprobs]


async def test_several_answers_differ_and_are_counted_one_by_one(client: Client) -> None:
    answers = await client.answers("My favourite animal is", n=3, max_tokens=12, seed=5, ignore_eos=True)
    assert len({answer.text for answer in answers}) == 3
    assert [answer.completion_tokens for answer in answers] == [12, 12, 12]
    again = await client.answers("My favourite animal is", n=3, max_tokens=12, seed=5, ignore_eos=True)
    assert [answer.text for answer in again] == [answer.text for answer in answers]


async def test_characters_of_several_tokens_come_whole(client: Client) -> None:
    prompt = "東京は日本の首都です。🎌 東京は日本の首都です。🎌 東京は"
    whole = await client.answer(prompt, max_tokens=30, **GREEDY)
    assert "\ufffd" not in whole.text[:-1]
    assert any(ord(character) > 0x3000 for character in whole.text)


async def test_log_probabilities_belong_to_the_text(client: Client) -> None:
    answer = await client.answer(CAPITAL, max_tokens=8, logprobs=True, top_logprobs=3, **GREEDY)
    assert len(answer.logprobs) == 8
    assert b"".join(token.utf8 for token in answer.logprobs).decode() == answer.text
    for token in answer.logprobs:
        assert token.top[0].utf8 == token.utf8
        assert token.top[0].logprob == token.logprob <= 0
        assert len(token.top) == 3


async def test_log_probabilities_say_nothing_of_the_stop_text(client: Client) -> None:
    whole = await client.answer(CAPITAL, max_tokens=24, **GREEDY)
    stop = whole.text[10:16]
    answer = await client.answer(CAPITAL, max_tokens=24, stop=(stop,), logprobs=True, **GREEDY)
    measured = b"".join(token.utf8 for token in answer.logprobs).decode()
    assert answer.text == whole.text[: whole.text.index(stop)]
    assert measured
    assert answer.text.startswith(measured)


async def test_a_prompt_is_scored_as_if_the_model_had_said_it(client: Client) -> None:
    answer = await client.answer(CAPITAL, max_tokens=6, logprobs=True, **GREEDY)
    request = generate_request(
        CAPITAL + answer.text, n=2, max_tokens=1, prompt_logprobs=True, logprobs=True, top_logprobs=2
    )
    (started, *_) = [event async for event in client.stream(request)]
    scored = started.started.prompt_logprobs
    assert len(scored) == started.started.prompt_tokens - 1 == 4 + 6
    assert b"".join(token.utf8 for token in scored[4:]).decode() == answer.text
    for as_prompt, as_answer in zip(scored[4:], answer.logprobs, strict=True):
        assert as_prompt.logprob == pytest.approx(as_answer.logprob, abs=0.1)
        assert as_prompt.logprob <= as_prompt.top[0].logprob
        assert len(as_prompt.top) == 2


async def test_an_answer_goes_on_past_its_end_when_asked_to(client: Client) -> None:
    turns = [(CHAT_ROLE_USER, "Say hello.")]
    ended = await client.answer(turns, max_tokens=60, **GREEDY)
    assert ended.finish_reason == FINISH_REASON_STOP
    longer = await client.answer(turns, max_tokens=60, min_tokens=ended.completion_tokens + 3, **GREEDY)
    assert longer.completion_tokens >= ended.completion_tokens + 3
    endless = await client.answer(turns, max_tokens=60, ignore_eos=True, **GREEDY)
    assert (endless.completion_tokens, endless.finish_reason) == (60, FINISH_REASON_LENGTH)


async def test_an_answer_without_a_limit_ends_with_the_context_window(client: Client) -> None:
    answer = await client.answer("lighthouse " * 500, ignore_eos=True, **GREEDY)
    assert answer.finish_reason == FINISH_REASON_LENGTH
    assert 0 < answer.completion_tokens <= 12


async def test_what_was_used_is_in_the_journal(client: Client) -> None:
    answer = await client.answer(CAPITAL, max_tokens=9, operation_id="journalled", **GREEDY)
    usage = await client.ended_usage("journalled")
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 9) == (5, answer.completion_tokens)
    assert usage.model == MODEL
    assert (await client.usage("never-seen")).status.code == 5


async def test_hanging_up_stops_the_answer_and_frees_its_slot(client: Client) -> None:
    request = generate_request(CAPITAL, operation_id="hung-up", max_tokens=400, ignore_eos=True)
    stream = client.stream(request)
    seen = 0
    async for response in stream:
        if response.WhichOneof("event") == "delta":
            seen = response.delta.completion_tokens
            if seen >= 3:
                break
    stream.cancel()
    usage = await client.ended_usage("hung-up")
    assert seen <= usage.completion_tokens < 400
    await until(lambda: client.metric("running") == 0)


async def test_a_storm_of_hang_ups_leaves_nothing_running(client: Client) -> None:
    async def give_up(place: int) -> None:
        stream = client.stream(
            generate_request(f"{place} things", max_tokens=400, operation_id=f"storm-{place}")
        )
        await asyncio.sleep(0.02 * place)
        stream.cancel()

    await asyncio.gather(*map(give_up, range(30)))
    await until(lambda: client.metric("running") + client.metric("waiting") == 0)


async def test_an_answer_stops_at_the_deadline(client: Client) -> None:
    for seconds in (0.5, 5, 50):  # a slow machine may let a request expire before it begins
        request = generate_request(CAPITAL, operation_id=f"late-{seconds}", max_tokens=400, ignore_eos=True)
        assert (await client.refusal(request, seconds)).reason == "DEADLINE_EXCEEDED"
        if (await client.usage(request.context.request_id)).attempts:
            break
    await client.ended_usage(request.context.request_id)
    await until(lambda: client.metric("running") == 0)


async def test_work_whose_deadline_is_past_is_not_started(client: Client) -> None:
    request = generate_request(CAPITAL, operation_id="too-late")
    request.context.deadline_time.FromSeconds(1_000_000_000)
    assert (await client.refusal(request)).reason == "DEADLINE_EXCEEDED"
    assert (await client.usage("too-late")).status.code == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "gpt-17"}, "MODEL_NOT_FOUND"),
        ({"model": "all-minilm-l6-v2"}, "MODEL_NOT_FOUND"),
        ({"logit_bias": {49152: 1.0}}, "INVALID_ARGUMENT"),
        ({"stop": ("",)}, "INVALID_ARGUMENT"),
        ({"min_tokens": 9, "max_tokens": 3}, "INVALID_ARGUMENT"),
        ({"temperature": 3.0}, "INVALID_ARGUMENT"),
        ({"repetition_penalty": 1e-38}, "INVALID_ARGUMENT"),
        ({"logit_bias": {5: math.nan}}, "INVALID_ARGUMENT"),
        ({"logit_bias": {5: math.inf}}, "INVALID_ARGUMENT"),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_refused_with_its_reason(
    client: Client, changes: dict, reason: str
) -> None:
    assert (await client.refusal(generate_request(CAPITAL, **changes))).reason == reason


async def test_a_prompt_beyond_the_context_window_is_refused_with_the_numbers(client: Client) -> None:
    refusal = await client.refusal(generate_request("lighthouse " * 600))
    assert refusal.reason == "CONTEXT_LENGTH_EXCEEDED"
    assert int(refusal.metadata["prompt_tokens"]) > int(refusal.metadata["context_tokens"]) == 512


async def test_images_are_refused_with_their_field(client: Client) -> None:
    request = generate_request([(CHAT_ROLE_USER, "hi")])
    parts = chat_message_pb2.ContentParts()
    parts.parts.add(text="What is this?")
    parts.parts.add().image_url.url = "https://example.com/a.png"
    request.input.chat.messages[0].parts.CopyFrom(parts)
    refusal = await client.refusal(request)
    assert (refusal.reason, refusal.metadata["field"]) == (
        "UNSUPPORTED_FEATURE",
        "input.chat.messages.parts.image_url",
    )


async def test_parts_of_text_are_one_text(client: Client) -> None:
    request = generate_request([(CHAT_ROLE_USER, "")], max_tokens=4, **GREEDY)
    request.input.chat.messages[0].parts.parts.add(text="What is the capital")
    request.input.chat.messages[0].parts.parts.add(text="of France?")
    joined = await client.answer(
        [(CHAT_ROLE_USER, "What is the capital\nof France?")], max_tokens=4, **GREEDY
    )
    answers = [type(joined)()]
    async for response in client.stream(request):
        collect(response, answers)
    assert answers[0].text == joined.text


def with_tools(question: str, tool_choice: tool_pb2.ToolChoice | None = None, **parameters):
    request = generate_request([(CHAT_ROLE_USER, question)], **parameters)
    function = {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters_json": json.dumps(WEATHER),
    }
    request.input.chat.tools.append(tool_pb2.Tool(function=function))
    if tool_choice is not None:
        request.input.chat.tool_choice.CopyFrom(tool_choice)
    return request


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "choice",
    [
        tool_pb2.ToolChoice(mode=tool_pb2.TOOL_CHOICE_MODE_REQUIRED),
        tool_pb2.ToolChoice(function_name="weather"),
    ],
    ids=["required", "named"],
)
async def test_a_tool_that_must_be_called_is_called_with_arguments_of_its_schema(
    client: Client, choice: tool_pb2.ToolChoice
) -> None:
    request = with_tools("How is the weather in Paris?", choice, max_tokens=120, **GREEDY)
    request.input.chat.parallel_tool_calls = False
    deltas, finished = [], None
    async for response in client.stream(request):
        deltas += response.delta.tool_calls
        assert response.delta.text == ""
        if response.WhichOneof("event") == "finished":
            finished = response.finished
    assert finished.finish_reason == FINISH_REASON_TOOL_CALLS
    assert (deltas[0].name, deltas[0].index) == ("weather", 0)
    assert deltas[0].id.startswith("call_")
    assert all(not delta.id and not delta.name for delta in deltas[1:])
    assert set(json.loads("".join(delta.arguments for delta in deltas))) == {"city"}


async def test_a_call_that_is_no_json_stays_text_and_ends_nobody_s_answer(client: Client) -> None:
    request = with_tools("How is the weather?", max_tokens=80)
    request.constraint.regex = r'<tool_call>\{"name": "two\nlines", "arguments": \{\}\}</tool_call>'
    other = asyncio.create_task(client.answer(CAPITAL, max_tokens=80, ignore_eos=True, **GREEDY))
    answer = Answer()
    async for response in client.stream(request):
        collect(response, [answer])
    assert answer.text == '<tool_call>{"name": "two\nlines", "arguments": {}}</tool_call>'
    assert (await other).completion_tokens == 80


@pytest.mark.parametrize("depth", [150, 600, 900, 5000])
async def test_arguments_nested_too_deep_are_read_as_the_text_that_they_are(
    client: Client, depth: int
) -> None:
    request = with_tools("How is the weather?", max_tokens=2)
    call = request.input.chat.messages.add(role=CHAT_ROLE_ASSISTANT).tool_calls.add(id="1")
    call.function.name, call.function.arguments = "weather", "[" * depth + "]" * depth
    if depth * 2 >= 512:
        assert (await client.refusal(request)).reason == "CONTEXT_LENGTH_EXCEEDED"
    else:
        assert [response async for response in client.stream(request)]


@pytest.mark.parametrize("depth", [150, 600, 900, 5000])
async def test_parameters_nested_too_deep_are_refused_with_their_field(client: Client, depth: int) -> None:
    request = with_tools("How is the weather?")
    request.input.chat.tools[0].function.parameters_json = '{"not":' * depth + "{}" + "}" * depth
    refusal = await client.refusal(request)
    assert refusal.reason == "INVALID_ARGUMENT"
    assert refusal.metadata["field"] == "input.chat.tools[0].function.parameters_json"


async def test_a_tool_that_is_not_there_cannot_be_chosen(client: Client) -> None:
    refusal = await client.refusal(with_tools("?", tool_pb2.ToolChoice(function_name="stocks")))
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_an_answer_is_json_of_the_schema_streamed_and_with_a_seed(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer", "maximum": 99}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    for seed in (1, 2):
        request = generate_request(
            [(CHAT_ROLE_USER, "Describe an apple.")],
            n=3,
            max_tokens=80,
            min_tokens=70,
            seed=seed,
            ignore_eos=True,
        )
        request.constraint.response_format.json_schema.schema_json = json.dumps(schema)
        request.constraint.response_format.json_schema.name = "apple"
        answers = [Answer() for _ in range(3)]
        async for response in client.stream(request):
            collect(response, answers)
        for answer in answers:
            assert answer.finish_reason == FINISH_REASON_STOP
            assert json.loads(answer.text)["colour"] in {"red", "green"}


async def test_an_answer_whose_form_takes_too_much_work_ends_in_an_error_and_not_as_if_it_were_of_it(
    client: Client,
) -> None:
    request = generate_request(CAPITAL, max_tokens=200, operation_id="too-much-work", ignore_eos=True)
    alternatives = [{"type": "object", "properties": {f"{place}": {}}} for place in range(2000)]
    request.constraint.response_format.json_schema.schema_json = json.dumps({"anyOf": alternatives})
    request.constraint.response_format.json_schema.name = "any"
    other = asyncio.create_task(client.answer(CAPITAL, max_tokens=40, ignore_eos=True, **GREEDY))
    refusal = await client.refusal(request)
    assert refusal.reason == "INVALID_ARGUMENT"
    assert "more work to follow than is allowed" in refusal.message
    assert (await client.ended_usage("too-much-work")).prompt_tokens == 5
    assert (await other).completion_tokens == 40


async def test_a_form_that_cannot_be_enforced_is_refused_with_its_fault(client: Client) -> None:
    request = generate_request(CAPITAL)
    request.constraint.response_format.regex = "(unclosed"
    refusal = await client.refusal(request)
    assert refusal.reason == "INVALID_ARGUMENT"
    assert "unclosed group" in str(refusal)
