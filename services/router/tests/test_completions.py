"""Legacy completions through the router: prompts in the places of a conversation, with all of its promises."""

import asyncio
import math
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import limit_pb2
from penstock.router.v1 import (
    chat_completion_pb2,
    completion_pb2,
    completion_service_pb2,
    completion_service_pb2_grpc,
    embedding_pb2,
    receipt_pb2,
    tool_pb2,
)
from router_fakes import EMAIL, FORBIDDEN, TOKEN, VOCABULARY
from router_world import AUTHORIZED, World, ask, refusal
from testkit.waiting import SECONDS_MAX

Prompt = str | list[int]


async def test_a_text_is_continued_without_a_template_and_with_a_receipt(world: World) -> None:
    completion = await finish(world, "ask the oracle")
    (choice,) = completion.choices
    assert (choice.index, choice.text) == (0, "The capital is Paris.")
    assert choice.finish_reason == chat_completion_pb2.FINISH_REASON_STOP
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 4)
    assert completion.id == f"cmpl-{completion.receipt.request_id}"
    (generated,) = world.inference.prompts
    assert generated.input.prompt == "ask the oracle"
    assert generated.sampling.max_tokens == 16


async def test_what_was_used_is_settled_as_a_completion(world: World) -> None:
    completion = await finish(world, "ask the oracle")
    settlement = await world.billing.only_settlement()
    assert (settlement.operation, settlement.operation_id) == ("completion", completion.receipt.request_id)
    assert completion.receipt.cost_nanos == 3 * 1 + 4 * 2


async def test_several_prompts_are_one_operation_whose_answers_are_numbered_through(world: World) -> None:
    completion = await finish(world, "ask", "the oracle", n=2)
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1 + 2, 4 * 4)
    assert sorted(each.input.prompt for each in world.inference.prompts) == ["ask", "the oracle"]
    (hold,) = world.billing.authorized.values()
    assert (hold.prompt_tokens, hold.n, hold.max_tokens) == (3, 4, 16)
    settlement = await world.billing.only_settlement()
    (attempt,) = settlement.attempts
    assert (attempt.tokens.input, attempt.tokens.output) == (3, 16)


async def test_a_form_reaches_the_model(world: World) -> None:
    await finish(world, "ask", response_format=tool_pb2.ResponseFormat(regex="[a-z]+"))
    assert world.inference.prompts[0].constraint.response_format.regex == "[a-z]+"


async def test_token_ids_reach_the_model_as_they_were_sent_and_the_guardrail_as_text(world: World) -> None:
    await finish(world, [0, 1, 2])
    assert list(world.inference.prompts[0].input.tokens.ids) == [0, 1, 2]
    assert world.guardrail.seen[0] == "ask the oracle"


async def test_token_ids_that_spell_an_address_are_replaced_by_the_redacted_text(world: World) -> None:
    world.inference.words = ["Write to ", TOKEN, "."]
    completion = await finish(world, [0, VOCABULARY.index(EMAIL)])
    (generated,) = world.inference.prompts
    assert generated.input.prompt == f"ask {TOKEN}"
    assert completion.choices[0].text == f"Write to {EMAIL}."
    assert completion.receipt.redacted_types == ["EMAIL_ADDRESS"]


async def test_every_prompt_is_screened_and_one_that_is_refused_stops_all(world: World) -> None:
    error = await refusal(finish(world, "ask", f"Keep this: {FORBIDDEN}"))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CONTENT_REFUSED")
    assert not world.inference.prompts
    assert not world.billing.authorized


async def test_an_echoed_prompt_begins_every_answer_as_its_caller_wrote_it(world: World) -> None:
    completion = await finish(world, f"ask {EMAIL}: ", "the oracle: ", n=2, echo=True)
    said = "The capital is Paris."
    assert [choice.text for choice in completion.choices] == [
        *[f"ask {EMAIL}: {said}"] * 2,
        *[f"the oracle: {said}"] * 2,
    ]


async def test_an_echoed_prompt_is_scored_but_for_its_first_token(world: World) -> None:
    completion = await finish(world, "ask the oracle", echo=True, logprobs=2, max_tokens=0)
    (choice,) = completion.choices
    assert choice.text == "ask the oracle"
    assert [token.token for token in choice.logprobs] == ["ask", " the", " oracle"]
    assert math.isnan(choice.logprobs[0].logprob)
    assert [token.logprob for token in choice.logprobs[1:]] == [-2, -2]
    assert world.inference.prompts[0].sampling.top_logprobs == 2


async def test_no_token_at_most_reads_the_prompt_and_holds_money_for_no_answer(world: World) -> None:
    completion = await finish(world, "ask the oracle", max_tokens=0)
    assert world.inference.prompts[0].sampling.prompt_only
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 0)
    (hold,) = world.billing.authorized.values()
    assert hold.max_tokens == 0
    assert completion.receipt.cost_nanos == 3


async def test_a_stream_brings_the_same_texts_in_parts(world: World) -> None:
    options = chat_completion_pb2.StreamOptions(include_usage=True)
    world.billing.rates = [limit_pb2.RateLimit(unit=limit_pb2.LIMIT_UNIT_TOKENS, value=60, remaining=59)]
    parts = await parts_of(world, "ask", "the oracle", echo=True, stream_options=options)
    assert [list(part.rate_limits) for part in parts[:2]] == [world.billing.rates, []]
    texts = {0: "", 1: ""}
    for part in parts:
        for choice in part.choices:
            texts[choice.index] += choice.text
    assert texts == {0: "askThe capital is Paris.", 1: "the oracleThe capital is Paris."}
    reasons = [c.finish_reason for part in parts for c in part.choices if c.finish_reason]
    assert reasons == [chat_completion_pb2.FINISH_REASON_STOP] * 2
    assert parts[-1].usage.total_tokens == 3 + 8
    assert parts[-1].receipt.cost_nanos == 3 + 8 * 2


async def test_completions_neither_read_nor_write_the_cache(world: World) -> None:
    await finish(world, "ask the oracle")
    again = await finish(world, "ask the oracle")
    assert again.receipt.cache == receipt_pb2.CACHE_STATUS_BYPASS
    assert len(world.inference.prompts) == 2
    assert not world.cache.kept


async def test_a_conversation_of_the_same_words_is_not_answered_as_a_prompt(world: World) -> None:
    await finish(world, "ask the oracle")
    await ask(world, text="ask the oracle")
    assert [each.input.WhichOneof("input") for each in world.inference.prompts] == ["prompt", "chat"]


async def test_one_prompt_that_breaks_off_ends_the_request_and_the_others(world: World) -> None:
    world.inference.fail_after = 2
    error = await refusal(finish(world, "ask", "the oracle"))
    assert error.reason == "STREAM_INTERRUPTED"
    settlement = await world.billing.only_settlement()
    (attempt,) = settlement.attempts
    assert attempt.tokens.output == world.inference.produced[settlement.operation_id] > 0


async def test_a_caller_that_hangs_up_stops_every_prompt(world: World) -> None:
    world.inference.hang_after = 1
    call = stub(world).StreamCompletion(
        completion_service_pb2.StreamCompletionRequest(parameters=parameters("ask", "the oracle")),
        metadata=AUTHORIZED,
    )
    await anext(aiter(call))
    call.cancel()
    await asyncio.wait_for(world.inference.cancelled.wait(), SECONDS_MAX)
    settlement = await world.billing.only_settlement()
    assert settlement.attempts[0].tokens.output == world.inference.produced[settlement.operation_id]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"prompts": []}, "parameters.prompts"),
        ({"prompts": ["a"] * 65, "n": 2}, "parameters.n"),
        ({"prompts": ["a"], "n": 17}, "parameters.n"),
        ({"prompts": ["a"], "logprobs": 21}, "parameters.logprobs"),
        ({"prompts": [""]}, "parameters.prompts[0].text"),
        ({"prompts": ["a"], "user": "a\0b"}, "parameters.user"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(world: World, wrong: dict, field: str) -> None:
    error = await refusal(finish(world, *wrong.pop("prompts"), **wrong))
    assert (error.reason, error.metadata["field"]) == ("INVALID_ARGUMENT", field)


async def test_a_model_that_only_holds_conversations_says_so(world: World) -> None:
    error = await refusal(finish(world, "a", model="minilm"))
    assert (error.reason, error.metadata["field"]) == ("UNSUPPORTED_FEATURE", "model")


async def test_an_endpoint_that_only_holds_conversations_is_passed_over(world: World) -> None:
    assert (await finish(world, "ask the oracle", model="both")).receipt.endpoint == "inference"
    error = await refusal(finish(world, "a", model="gpt"))
    assert error.reason == "UNSUPPORTED_FEATURE"
    error = await refusal(finish(world, [0], model="gpt"))
    assert (error.reason, error.metadata["field"]) == ("UNSUPPORTED_FEATURE", "prompts")


def stub(world: World) -> Any:
    return completion_service_pb2_grpc.CompletionServiceStub(world.channel)


def parameters(*prompts: Prompt, model: str = "smollm2", **more: Any) -> completion_pb2.CompletionParameters:
    return completion_pb2.CompletionParameters(
        model=model,
        prompts=[
            completion_pb2.CompletionPrompt(text=prompt)
            if isinstance(prompt, str)
            else completion_pb2.CompletionPrompt(tokens=embedding_pb2.TokenIds(ids=prompt))
            for prompt in prompts
        ],
        **more,
    )


async def finish(world: World, *prompts: Prompt, **how: Any) -> completion_pb2.Completion:
    request = completion_service_pb2.CreateCompletionRequest(parameters=parameters(*prompts, **how))
    return (await stub(world).CreateCompletion(request, metadata=AUTHORIZED)).completion


async def parts_of(world: World, *prompts: Prompt, **how: Any) -> list[completion_pb2.Completion]:
    request = completion_service_pb2.StreamCompletionRequest(parameters=parameters(*prompts, **how))
    return [response.part async for response in stub(world).StreamCompletion(request, metadata=AUTHORIZED)]
