"""A chat completion through the router, with every peer there."""

import asyncio
from typing import Any

import grpc
import pytest
from aiohttp import web
from penstock.billing.v1 import hold_pb2, limit_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, receipt_pb2, tool_pb2
from penstock_router.identity import Principal
from penstock_router.memory import personal_room
from router_fakes import EMAIL, FORBIDDEN, TOKEN
from router_world import (
    AUTHORIZED,
    Create,
    Stream,
    Upstream,
    World,
    ask,
    parameters,
    refusal,
    stream,
    text_of,
)
from testkit.waiting import SECONDS_MAX


async def test_a_question_is_answered_with_usage_and_cost(world: World) -> None:
    completion = await ask(world)
    assert completion.choices[0].message.text == "The capital is Paris."
    assert completion.choices[0].finish_reason == chat_completion_pb2.FINISH_REASON_STOP
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (6, 4)
    assert completion.receipt.cost_nanos == 6 * 1 + 4 * 2
    assert completion.receipt.cache == receipt_pb2.CACHE_STATUS_MISS
    assert completion.receipt.endpoint == "inference"


async def test_what_was_used_is_settled_once_under_the_receipts_id(world: World) -> None:
    completion = await ask(world)
    settlement = await world.billing.only_settlement()
    assert settlement.operation_id == completion.receipt.request_id
    (attempt,) = settlement.attempts
    assert (attempt.tokens.input, attempt.tokens.output) == (6, 4)
    assert attempt.outcome == hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    assert not attempt.estimated


async def test_the_same_question_again_is_answered_from_the_cache_at_no_cost(world: World) -> None:
    first = await ask(world)
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    again = await ask(world)
    assert again.choices == first.choices
    assert again.id != first.id
    assert again.receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT
    assert again.receipt.cost_nanos == 0
    assert again.receipt.avoided_cost_nanos == first.receipt.cost_nanos
    assert len(world.inference.prompts) == 1


async def test_no_cache_asks_the_model_and_no_store_keeps_nothing(world: World) -> None:
    await ask(world, cache_control=chat_completion_pb2.CacheControl(no_store=True))
    await ask(world, cache_control=chat_completion_pb2.CacheControl(no_cache=True))
    assert len(world.inference.prompts) == 2


async def test_an_address_never_reaches_the_model_and_comes_back_restored(world: World) -> None:
    world.inference.words = ["Write to ", TOKEN, "."]
    completion = await ask(world, text=f"Whom do I write to, {EMAIL}?")
    (prompt,) = world.inference.prompts
    assert EMAIL not in str(prompt)
    assert completion.choices[0].message.text == f"Write to {EMAIL}."
    assert completion.receipt.redacted_types == ["EMAIL_ADDRESS"]


async def test_an_address_to_choose_from_never_reaches_the_model(world: World) -> None:
    choice = tool_pb2.ResponseFormat(choice=tool_pb2.ChoiceFormat(choices=["nobody", EMAIL]))
    await ask(world, response_format=choice)
    (asked,) = world.inference.prompts
    assert list(asked.constraint.response_format.choice.choices) == ["nobody", TOKEN]


@pytest.mark.parametrize("field", ["regex", "grammar"])
async def test_an_address_in_a_pattern_is_refused_since_a_token_would_be_another_pattern(
    world: World, field: str
) -> None:
    form = tool_pb2.ResponseFormat(**{field: f"start: '{EMAIL}'"})
    error = await refusal(ask(world, response_format=form))
    assert error.metadata["field"] == f"parameters.response_format.{field}"
    assert not world.inference.prompts
    assert not world.billing.authorized


async def test_a_streamed_answer_is_restored_too_and_equals_the_whole_one(world: World) -> None:
    world.inference.words = ["Write to ", TOKEN[:9], TOKEN[9:], "."]
    whole = await ask(
        world, text=f"Is it {EMAIL}?", cache_control=chat_completion_pb2.CacheControl(no_store=True)
    )
    chunks = await stream(world, text=f"Is it {EMAIL}?")
    assert text_of(chunks) == whole.choices[0].message.text == f"Write to {EMAIL}."


async def test_refused_content_reaches_no_model_and_costs_nothing(world: World) -> None:
    error = await refusal(ask(world, text=f"Keep this: {FORBIDDEN}"))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CONTENT_REFUSED")
    assert error.metadata["types"] == "PRIVATE_KEY"
    assert not world.inference.prompts
    assert not world.billing.authorized


async def test_a_stream_names_the_speaker_once_and_ends_with_usage_and_receipt(world: World) -> None:
    options = chat_completion_pb2.StreamOptions(include_usage=True)
    chunks = await stream(world, stream_options=options)
    roles = [choice.role for chunk in chunks for choice in chunk.choices]
    assert roles[0] == chat_message_pb2.CHAT_ROLE_ASSISTANT
    assert not any(roles[1:])
    assert text_of(chunks) == "The capital is Paris."
    assert chunks[-2].choices[0].finish_reason == chat_completion_pb2.FINISH_REASON_STOP
    assert chunks[-1].usage.total_tokens == 10
    assert chunks[-1].receipt.cost_nanos == 14


async def test_a_stream_says_with_its_first_chunk_how_the_callers_rates_stand(world: World) -> None:
    world.billing.rates = [limit_pb2.RateLimit(unit=limit_pb2.LIMIT_UNIT_REQUESTS, value=60, remaining=59)]
    chunks = await stream(world)
    assert list(chunks[0].rate_limits) == world.billing.rates == list(chunks[-1].receipt.rate_limits)
    assert not any(chunk.rate_limits for chunk in chunks[1:])


async def test_a_cached_answer_streams_as_well(world: World) -> None:
    await ask(world)
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    chunks = await stream(world)
    assert text_of(chunks) == "The capital is Paris."
    assert chunks[-1].receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT


async def test_a_request_s_own_priority_reaches_the_engine(world: World) -> None:
    for priority in (1, 10, 0):
        await ask(world, text=f"Question {priority}", priority=priority)
    assert [request.context.priority for request in world.inference.prompts] == [1, 10, 0]


async def test_several_answers_come_by_index(world: World) -> None:
    completion = await ask(world, n=3)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert completion.usage.completion_tokens == 12


async def test_fewer_tokens_than_asked_for_are_bought_and_said(world: World) -> None:
    world.billing.max_tokens = 2
    completion = await ask(world, max_completion_tokens=100)
    assert completion.choices[0].finish_reason == chat_completion_pb2.FINISH_REASON_LENGTH
    assert completion.receipt.clamped_max_tokens == 2


async def test_a_used_up_budget_refuses_before_anything_runs(world: World) -> None:
    world.billing.refuse = True
    error = await refusal(ask(world))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED")
    assert not world.inference.prompts


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "API_KEY_MISSING"),
        ((("authorization", "Basic abc"),), "API_KEY_MISSING"),
        ((("authorization", "Bearer sk-other"),), "API_KEY_INVALID"),
        ((("authorization", "Bearer psk_" + "b" * 43),), "API_KEY_INVALID"),
    ],
)
async def test_who_is_not_known_is_not_let_in(world: World, metadata: Any, reason: str) -> None:
    error = await refusal(ask(world, metadata=metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        ({"model": "gpt-17"}, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ({"model": "minilm"}, grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE"),
        ({"temperature": 3}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ({"top_logprobs": 2}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ({"text": "word " * 3000}, grpc.StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH_EXCEEDED"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_its_reason_and_takes_nothing(
    world: World, how: dict[str, Any], code: Any, reason: str
) -> None:
    error = await refusal(ask(world, **how))
    assert (error.code, error.reason) == (code, reason)
    assert not world.billing.authorized


async def test_disconnect_is_billed_exactly(world: World) -> None:
    """BerriAI/litellm#30630: a caller that hangs up stops the engine and pays for what it produced."""
    world.inference.hang_after = 2
    call = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    first = await call.read()
    assert first.chunk.choices[0].content == "The"
    await call.read()
    call.cancel()
    await asyncio.wait_for(world.inference.cancelled.wait(), SECONDS_MAX)
    settlement = await world.billing.only_settlement()
    assert settlement.attempts[0].outcome == hold_pb2.ATTEMPT_OUTCOME_CANCELLED
    assert settlement.attempts[0].tokens.output == 2
    assert not settlement.attempts[0].estimated


async def test_no_clean_end_on_cut(world: World) -> None:
    """Portkey-AI/gateway#1797: a stream that breaks after its first part ends with an error, and is charged."""
    world.inference.fail_after = 2
    call = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    chunks: list[Any] = []

    async def read() -> None:
        async for response in call:
            chunks.append(response.chunk)  # noqa: PERF401 - what came before the fault counts

    error = await refusal(read())
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_INTERRUPTED")
    assert text_of(chunks) == "The capital"
    settlement = await world.billing.only_settlement()
    assert settlement.attempts[0].tokens.output == 2
    assert not world.cache.entries


async def test_an_answer_that_is_refused_on_its_way_is_charged_for_what_it_got_to(world: World) -> None:
    world.inference.fail_after, world.inference.fail_code = 2, grpc.StatusCode.INVALID_ARGUMENT
    assert (await refusal(_drained(world))).code is grpc.StatusCode.INVALID_ARGUMENT
    settlement = await world.billing.only_settlement()
    assert settlement.attempts[0].tokens.output == 2
    assert not settlement.attempts[0].estimated


@pytest.mark.parametrize("world", [{"next_token_seconds_max": 1}], indirect=True)
async def test_inter_token_timeout(world: World) -> None:
    """tensorzero/tensorzero#6328: an endpoint that stalls in the middle cannot hold its caller for long."""
    world.inference.hang_after = 1
    error = await refusal(_drained(world))
    assert error.reason == "STREAM_INTERRUPTED"


async def _drained(world: World) -> None:
    call = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    async for _ in call:
        pass


async def test_first_request_fails_over(world: World, upstream: Upstream) -> None:
    """agentgateway/agentgateway#1087: the request that meets the failing endpoint is itself answered by the next."""

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    upstream.handler = broken
    completion = await ask(world, model="both")
    assert completion.choices[0].message.text == "The capital is Paris."
    assert completion.receipt.attempts == 2
    assert completion.receipt.endpoint == "inference"
    settlement = await world.billing.only_settlement()
    assert [attempt.sku for attempt in settlement.attempts] == ["inference/smollm2"]
    assert upstream.requests == 1


async def test_a_text_too_large_to_inspect_is_refused_and_troubles_nobody_else(world: World) -> None:
    large, small = await asyncio.gather(refusal(ask(world, text="x" * (4 << 20) + "y")), ask(world))
    assert (large.code, large.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert small.choices[0].message.text == "The capital is Paris."


async def test_a_long_question_is_answered_without_being_matched_by_meaning(world: World) -> None:
    world.inference.context_tokens = 1 << 20
    completion = await ask(world, text="word " * 20_000)
    assert completion.choices[0].message.text == "The capital is Paris."


async def test_an_answer_that_ends_where_its_caller_said_is_kept(world: World) -> None:
    await ask(world, max_completion_tokens=2)
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    again = await ask(world, max_completion_tokens=2)
    assert again.receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT


async def test_an_answer_that_a_small_balance_cut_short_is_not_kept(world: World) -> None:
    world.billing.max_tokens = 2
    await ask(world, max_completion_tokens=100)
    again = await ask(world, max_completion_tokens=100)
    assert again.receipt.cache == receipt_pb2.CACHE_STATUS_MISS


@pytest.mark.parametrize("more", [{"user": "a\0b"}, {"metadata": {"k": "\0"}}, {"metadata": {"\0": "v"}}])
async def test_what_no_ledger_can_keep_is_refused_before_it_costs_anything(world: World, more: Any) -> None:
    """A settlement that the store refuses for ever would make the answer free."""
    request = Create(parameters=parameters(**more))
    error = await refusal(world.chat.CreateChatCompletion(request, metadata=AUTHORIZED))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert not world.billing.authorized
    assert not world.inference.prompts


def test_a_caller_cannot_read_anothers_personal_answers_by_taking_their_name() -> None:
    """Which user a request is for is what its caller says; keys that are bound to no user share no personal room."""
    rooms = set()
    for key, bound_user, said_user in (
        ("k1", "", "bob"),
        ("k2", "", "bob"),
        ("k1", "", "eve"),
        ("k3", "bob", ""),
    ):
        principal = Principal("acme", key, ("business_user",), user=bound_user)
        rooms.add(personal_room(principal, bound_user or said_user))
    assert len(rooms) == 4
