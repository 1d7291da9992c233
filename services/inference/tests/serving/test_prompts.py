"""Prompts without a template, as texts and as tokens: continued, scored, and only read."""

import pytest
from inference_client import GREEDY, MODEL, Client, generate_request
from penstock.inference.v1 import generation_pb2, inference_service_pb2
from penstock.router.v1 import embedding_pb2
from penstock.router.v1.chat_completion_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAPITAL = "The capital of France is"
CAPITAL_IDS = [504, 3575, 282, 4649, 314]
TURN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\nName the capital of France.<|im_end|>\n<|im_start|>assistant\n"
)
SCORED = {"logprobs": True, "top_logprobs": 1, "prompt_logprobs": True}


async def test_the_tokens_of_a_text_are_continued_as_the_text_is(client: Client) -> None:
    request = generate_request(CAPITAL, max_tokens=8, **GREEDY)
    assert await decoded(client, CAPITAL_IDS) == CAPITAL
    request.input.CopyFrom(generation_pb2.GenerationInput(tokens=embedding_pb2.TokenIds(ids=CAPITAL_IDS)))
    text = "".join([event.delta.text async for event in client.stream(request)])
    assert text == (await client.answer(CAPITAL, max_tokens=8, **GREEDY)).text


async def test_tokens_are_decoded_with_their_special_ones_written_out(client: Client) -> None:
    end_of_turn, newline = 2, 198
    assert await decoded(client, [end_of_turn, newline]) == "<|im_end|>\n"


@pytest.mark.parametrize("token", [49_152, 2**32 - 1])
async def test_a_token_that_the_model_does_not_have_is_refused(client: Client, token: int) -> None:
    request = generate_request(CAPITAL)
    request.input.CopyFrom(generation_pb2.GenerationInput(tokens=embedding_pb2.TokenIds(ids=[1, token])))
    refusal = await client.refusal(request)
    assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_ARGUMENT", "input.tokens")
    assert (await decode(client, [token])).status.message in str(refusal)


@pytest.mark.parametrize("more", [{}, {"n": 3}, {"repetition_penalty": 1.5, "min_tokens": 4}, {"seed": 1}])
async def test_a_prompt_that_is_only_read_is_answered_by_no_token(client: Client, more: dict) -> None:
    operation_id = f"only-read-{sorted(more)}"
    request = generate_request(CAPITAL, operation_id=operation_id, prompt_only=True, **SCORED, **more)
    started, *rest = [event async for event in client.stream(request)]
    assert len(started.started.prompt_logprobs) == started.started.prompt_tokens - 1 == 4
    assert [event.WhichOneof("event") for event in rest] == ["finished"] * (request.n or 1)
    assert {event.finished.finish_reason for event in rest} == {FINISH_REASON_LENGTH}
    assert {event.finished.completion_tokens for event in rest} == {0}
    usage = await client.ended_usage(operation_id)
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 0)


async def test_the_bytes_of_a_scored_prompt_are_those_of_its_text(client: Client) -> None:
    request = generate_request(TURN, prompt_only=True, **SCORED)
    (started, *_) = [event.started async for event in client.stream(request)]
    rest = b"".join(token.utf8 for token in started.prompt_logprobs)
    assert (started.first_token_utf8 + rest).decode() == TURN


async def test_who_scores_a_prompt_learns_the_probability_of_its_end(client: Client) -> None:
    said = await client.answer(TURN, max_tokens=60, logprobs=True, **GREEDY)
    assert said.finish_reason == FINISH_REASON_STOP
    scored = await client.answer(TURN, max_tokens=60, **SCORED, **GREEDY)
    assert len(scored.logprobs) == len(said.logprobs) + 1 == scored.completion_tokens
    assert scored.logprobs[-1].utf8 == b""
    assert -1 < scored.logprobs[-1].logprob <= 0


async def decode(client: Client, ids: list[int]) -> inference_service_pb2.DecodeTokensResult:
    request = inference_service_pb2.DecodeTokensRequest()
    item = request.items.add(model=MODEL, tokens=embedding_pb2.TokenIds(ids=ids))
    item.context.organization, item.context.request_id = "acme", "decode"
    (result,) = (await client.stub.DecodeTokens(request)).results
    return result


async def decoded(client: Client, ids: list[int]) -> str:
    result = await decode(client, ids)
    assert not result.status.code
    return result.text
