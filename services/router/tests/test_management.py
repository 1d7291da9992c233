"""API keys, models, embeddings, and what is forwarded, through the router."""

import asyncio
from typing import Any

import grpc
import pytest
from penstock.billing.v1 import (
    budget_service_pb2,
    budget_service_pb2_grpc,
    usage_correction_service_pb2,
    usage_correction_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
)
from penstock.cache.v1 import (
    answer_cache_service_pb2,
    answer_cache_service_pb2_grpc,
    answer_feedback_service_pb2,
    answer_feedback_service_pb2_grpc,
)
from penstock.router.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    embedding_pb2,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from router_world import AUTHORIZED, World, ask, refusal

DEV = "organizations/dev"


def keys(world: World) -> Any:
    return api_key_service_pb2_grpc.ApiKeyServiceStub(world.channel)


async def create(world: World, request_id: str = "", **fields: Any) -> Any:
    request = api_key_service_pb2.CreateApiKeyRequest(parent=DEV, request_id=request_id)
    for name, value in {"roles": ["readonly"], **fields}.items():
        if isinstance(value, list):
            getattr(request.api_key, name).extend(value)
        else:
            setattr(request.api_key, name, value)
    return await keys(world).CreateApiKey(request, metadata=AUTHORIZED)


def bearer(secret: str) -> Any:
    return (("authorization", f"Bearer {secret}"),)


async def test_a_new_key_works_and_shows_its_secret_once(world: World) -> None:
    created = await create(world, display_name="ci")
    assert (await ask(world, metadata=bearer(created.secret))).choices
    shown = await keys(world).GetApiKey(
        api_key_service_pb2.GetApiKeyRequest(name=created.api_key.name), metadata=AUTHORIZED
    )
    assert created.secret not in str(shown)
    assert created.secret.startswith(shown.api_key.secret_prefix)


async def test_revoked_key_dies_everywhere(world: World) -> None:
    """BerriAI/litellm#25553: within two seconds, also on a replica that has just used it."""
    created = await create(world)
    await ask(world, metadata=bearer(created.secret))
    await keys(world).RevokeApiKey(
        api_key_service_pb2.RevokeApiKeyRequest(name=created.api_key.name), metadata=AUTHORIZED
    )
    await asyncio.sleep(world.settings.key_seconds_max)
    error = await refusal(ask(world, metadata=bearer(created.secret)))
    assert error.reason == "API_KEY_REVOKED"


async def test_the_same_request_makes_one_key(world: World) -> None:
    first = await create(world, request_id="r1")
    again = await create(world, request_id="r1")
    assert again.api_key.name == first.api_key.name
    assert not again.secret
    error = await refusal(create(world, request_id="r1", display_name="other"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")


async def test_keys_come_in_pages_newest_first(world: World) -> None:
    names = [(await create(world)).api_key.name for _ in range(3)]
    found: list[str] = []
    token = ""
    while True:
        request = api_key_service_pb2.ListApiKeysRequest(parent=DEV, page_size=2, page_token=token)
        page = await keys(world).ListApiKeys(request, metadata=AUTHORIZED)
        found += [key.name for key in page.api_keys]
        token = page.next_page_token
        if not token:
            break
    assert found[:3] == names[::-1]
    assert len(found) == 4


async def test_a_foreign_page_token_is_refused(world: World) -> None:
    request = api_key_service_pb2.ListApiKeysRequest(parent=DEV, page_token="%%%")
    error = await refusal(keys(world).ListApiKeys(request, metadata=AUTHORIZED))
    assert error.reason == "INVALID_ARGUMENT"


async def test_only_an_admin_of_the_organization_manages_keys(world: World) -> None:
    reader = bearer((await create(world)).secret)
    mine = api_key_service_pb2.ListApiKeysRequest(parent=DEV)
    assert (await refusal(keys(world).ListApiKeys(mine, metadata=reader))).reason == "PERMISSION_DENIED"
    other = api_key_service_pb2.ListApiKeysRequest(parent="organizations/other")
    assert (await refusal(keys(world).ListApiKeys(other, metadata=AUTHORIZED))).reason == "PERMISSION_DENIED"


async def test_a_key_sees_its_models_only(world: World) -> None:
    secret = (await create(world, models=["gpt"])).secret
    stub = model_service_pb2_grpc.ModelServiceStub(world.channel)
    listed = await stub.ListModels(model_service_pb2.ListModelsRequest(), metadata=bearer(secret))
    assert [model.id for model in listed.data] == ["gpt"]
    assert (await refusal(ask(world, metadata=bearer(secret)))).reason == "MODEL_NOT_FOUND"


async def test_models_come_in_pages(world: World) -> None:
    stub = model_service_pb2_grpc.ModelServiceStub(world.channel)
    first = await stub.ListModels(model_service_pb2.ListModelsRequest(page_size=3), metadata=AUTHORIZED)
    rest = await stub.ListModels(
        model_service_pb2.ListModelsRequest(page_token=first.next_page_token), metadata=AUTHORIZED
    )
    assert [m.id for m in (*first.data, *rest.data)] == ["both", "gpt", "minilm", "smollm2"]
    assert not rest.next_page_token


async def test_models_say_which_engine_of_ours_runs_them_and_nothing_while_inference_is_away(
    world: World,
) -> None:
    stub = model_service_pb2_grpc.ModelServiceStub(world.channel)

    async def engines() -> dict[str, str]:
        listed = await stub.ListModels(model_service_pb2.ListModelsRequest(), metadata=AUTHORIZED)
        return {model.id: f"{model.engine} {model.weights_kind}" for model in listed.data}

    own, others = "onnxruntime-cpu int8", " "
    assert await engines() == {"both": own, "gpt": others, "minilm": others, "smollm2": own}
    one = model_service_pb2.GetModelRequest(model="smollm2")
    assert (await stub.GetModel(one, metadata=AUTHORIZED)).model.weights_kind == "int8"
    world.inference.down = True
    assert set((await engines()).values()) == {others}


async def test_usage_is_forwarded_for_the_own_organization_only(world: World) -> None:
    stub = usage_service_pb2_grpc.UsageServiceStub(world.channel)
    mine = usage_service_pb2.QueryUsageRequest(parent=DEV)
    assert (await stub.QueryUsage(mine, metadata=AUTHORIZED)).rows[0].group == [DEV]
    other = usage_service_pb2.QueryUsageRequest(parent="organizations/other")
    assert (await refusal(stub.QueryUsage(other, metadata=AUTHORIZED))).reason == "PERMISSION_DENIED"
    assert (await refusal(stub.QueryUsage(mine))).reason == "API_KEY_MISSING"


async def test_writing_a_budget_needs_the_admin_role(world: World) -> None:
    reader = bearer((await create(world)).secret)
    stub = budget_service_pb2_grpc.BudgetServiceStub(world.channel)
    request = budget_service_pb2.CreateBudgetRequest(parent=DEV, budget_id="b1")
    request.budget.amount_nanos = 1
    assert (await refusal(stub.CreateBudget(request, metadata=reader))).reason == "PERMISSION_DENIED"
    update = budget_service_pb2.UpdateBudgetRequest()
    update.budget.name = "organizations/other/budgets/b1"
    assert (await refusal(stub.UpdateBudget(update, metadata=AUTHORIZED))).reason == "PERMISSION_DENIED"


async def test_a_correction_needs_the_admin_role_and_names_the_key_that_asked(world: World) -> None:
    reader, admin = await create(world), await create(world, roles=["admin"])
    stub = usage_correction_service_pb2_grpc.UsageCorrectionServiceStub(world.channel)
    request = usage_correction_service_pb2.CreateUsageCorrectionRequest(
        parent=DEV, operation_id="op", reason="counted twice", request_id="c1"
    )
    refused = stub.CreateUsageCorrection(request, metadata=bearer(reader.secret))
    assert (await refusal(refused)).reason == "PERMISSION_DENIED"
    pretended = (*bearer(admin.secret), ("x-api-key-id", "somebody"))
    made = await stub.CreateUsageCorrection(request, metadata=pretended)
    assert admin.api_key.name == f"{DEV}/apiKeys/{made.usage_correction.actor}"


async def test_cached_answers_are_shown_and_forgotten_by_admins_and_reported_by_anybody(world: World) -> None:
    reader = bearer((await create(world)).secret)
    name = f"{DEV}/answerCache"
    cache = answer_cache_service_pb2_grpc.AnswerCacheServiceStub(world.channel)
    shown = answer_cache_service_pb2.GetAnswerCacheRequest(name=name)
    await cache.GetAnswerCache(shown, metadata=AUTHORIZED)
    assert (await refusal(cache.GetAnswerCache(shown, metadata=reader))).reason == "PERMISSION_DENIED"
    all_of = answer_cache_service_pb2.InvalidateAnswersRequest(name=name)
    all_of.selector.everything = True
    assert (await refusal(cache.InvalidateAnswers(all_of, metadata=reader))).reason == "PERMISSION_DENIED"
    await ask(world)
    await world.cache.stored.wait()
    assert (await cache.InvalidateAnswers(all_of, metadata=AUTHORIZED)).entries == 1
    feedback = answer_feedback_service_pb2_grpc.AnswerFeedbackServiceStub(world.channel)
    report = answer_feedback_service_pb2.ReportAnswerRequest(name=f"{DEV}/cachedAnswers/ab12", verdict=2)
    await feedback.ReportAnswer(report, metadata=reader)
    report.name = "organizations/other/cachedAnswers/ab12"
    assert (await refusal(feedback.ReportAnswer(report, metadata=reader))).reason == "PERMISSION_DENIED"


async def test_texts_are_embedded_and_charged(world: World) -> None:
    stub = embedding_service_pb2_grpc.EmbeddingServiceStub(world.channel)
    inputs = [embedding_pb2.EmbeddingInput(text=text) for text in ("one two", "three")]
    request = embedding_service_pb2.CreateEmbeddingRequest(
        parameters=embedding_pb2.EmbeddingParameters(model="minilm", inputs=inputs)
    )
    response = await stub.CreateEmbedding(request, metadata=AUTHORIZED)
    assert [list(e.values) for e in response.embeddings.embeddings] == [[1.0] * 4] * 2
    assert response.embeddings.usage.prompt_tokens == 3
    assert response.embeddings.receipt.cost_nanos == 3
    assert (await world.billing.only_settlement()).attempts[0].tokens.input == 3


@pytest.mark.parametrize(
    "parameters",
    [
        embedding_pb2.EmbeddingParameters(model="smollm2", inputs=[embedding_pb2.EmbeddingInput(text="x")]),
        embedding_pb2.EmbeddingParameters(
            model="minilm", dimensions=8, inputs=[embedding_pb2.EmbeddingInput(text="x")]
        ),
        embedding_pb2.EmbeddingParameters(
            model="minilm", inputs=[embedding_pb2.EmbeddingInput(tokens=embedding_pb2.TokenIds(ids=[1]))]
        ),
    ],
)
async def test_what_a_model_cannot_embed_is_said(world: World, parameters: Any) -> None:
    stub = embedding_service_pb2_grpc.EmbeddingServiceStub(world.channel)
    request = embedding_service_pb2.CreateEmbeddingRequest(parameters=parameters)
    error = await refusal(stub.CreateEmbedding(request, metadata=AUTHORIZED))
    assert error.reason == "UNSUPPORTED_FEATURE"
