"""Wire to domain and back, nothing else."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from penstock.router.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    completion_service_pb2,
    completion_service_pb2_grpc,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from servicekit.errors import InvalidArgument

from penstock_router.catalog import Catalog
from penstock_router.completions import Completions
from penstock_router.embeddings import Embeddings
from penstock_router.engines import Engines
from penstock_router.identity import Identity, Principal
from penstock_router.keys import ApiKeys
from penstock_router.pipeline import ChatPipeline
from penstock_router.wire import api_key_from_proto, api_key_to_proto, model_to_proto, split_key_name

MODELS_PAGE_DEFAULT = 1000


class ChatCompletionServicer(chat_completion_service_pb2_grpc.ChatCompletionServiceServicer):
    """ChatCompletionService."""

    def __init__(self, pipeline: ChatPipeline, identity: Identity) -> None:
        self._pipeline = pipeline
        self._identity = identity

    async def CreateChatCompletion(
        self, request: chat_completion_service_pb2.CreateChatCompletionRequest, context: Any
    ) -> chat_completion_service_pb2.CreateChatCompletionResponse:
        """Answer whole."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        completion = await self._pipeline.complete(request.parameters, principal)
        return chat_completion_service_pb2.CreateChatCompletionResponse(chat_completion=completion)

    async def StreamChatCompletion(
        self, request: chat_completion_service_pb2.StreamChatCompletionRequest, context: Any
    ) -> AsyncGenerator[chat_completion_service_pb2.StreamChatCompletionResponse]:
        """Answer as the answer comes."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        async with aclosing(self._pipeline.stream(request.parameters, principal)) as chunks:
            async for chunk in chunks:
                yield chat_completion_service_pb2.StreamChatCompletionResponse(chunk=chunk)


class CompletionServicer(completion_service_pb2_grpc.CompletionServiceServicer):
    """CompletionService."""

    def __init__(self, completions: Completions, identity: Identity) -> None:
        self._completions = completions
        self._identity = identity

    async def CreateCompletion(
        self, request: completion_service_pb2.CreateCompletionRequest, context: Any
    ) -> completion_service_pb2.CreateCompletionResponse:
        """Continue whole."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        completion = await self._completions.complete(request.parameters, principal)
        return completion_service_pb2.CreateCompletionResponse(completion=completion)

    async def StreamCompletion(
        self, request: completion_service_pb2.StreamCompletionRequest, context: Any
    ) -> AsyncGenerator[completion_service_pb2.StreamCompletionResponse]:
        """Continue as the answers come."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        async with aclosing(self._completions.stream(request.parameters, principal)) as parts:
            async for part in parts:
                yield completion_service_pb2.StreamCompletionResponse(part=part)


class EmbeddingServicer(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """EmbeddingService."""

    def __init__(self, embeddings: Embeddings, identity: Identity) -> None:
        self._embeddings = embeddings
        self._identity = identity

    async def CreateEmbedding(
        self, request: embedding_service_pb2.CreateEmbeddingRequest, context: Any
    ) -> embedding_service_pb2.CreateEmbeddingResponse:
        """Embed texts."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        embeddings = await self._embeddings.embed(request.parameters, principal)
        return embedding_service_pb2.CreateEmbeddingResponse(embeddings=embeddings)


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """ModelService. A page token is the id of the last model of the page before."""

    def __init__(self, catalog: Catalog, engines: Engines, identity: Identity) -> None:
        self._catalog = catalog
        self._engines = engines
        self._identity = identity

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: Any
    ) -> model_service_pb2.ListModelsResponse:
        """List the models."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        if request.page_token and request.page_token not in self._catalog.models:
            raise InvalidArgument(
                "INVALID_ARGUMENT", "page_token is not one of ours.", metadata={"field": "page_token"}
            )
        size = request.page_size or MODELS_PAGE_DEFAULT
        allowed = [
            m for m in self._catalog.models.values() if not principal.models or m.id in principal.models
        ]
        rest = [model for model in allowed if model.id > request.page_token]
        page, loaded = rest[:size], await self._engines.loaded()
        return model_service_pb2.ListModelsResponse(
            object="list",
            data=[model_to_proto(model, loaded.get(model.id)) for model in page],
            next_page_token=page[-1].id if len(rest) > size else "",
        )

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: Any
    ) -> model_service_pb2.GetModelResponse:
        """Give one model."""
        principal = await self._identity.authenticate(context.invocation_metadata())
        model = self._catalog.model(request.model, principal.models)
        loaded = await self._engines.loaded()
        return model_service_pb2.GetModelResponse(model=model_to_proto(model, loaded.get(model.id)))


class ApiKeyServicer(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    """ApiKeyService."""

    def __init__(self, keys: ApiKeys, identity: Identity) -> None:
        self._keys = keys
        self._identity = identity

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Any
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        """Make a key."""
        principal = await self._admin(request.parent, "CreateApiKey", context)
        wanted = api_key_from_proto(principal.organization, request.api_key)
        key, secret = await self._keys.create(wanted, request.request_id)
        return api_key_service_pb2.CreateApiKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def GetApiKey(
        self, request: api_key_service_pb2.GetApiKeyRequest, context: Any
    ) -> api_key_service_pb2.GetApiKeyResponse:
        """Give a key."""
        await self._admin(request.name, "GetApiKey", context)
        key = await self._keys.get(*split_key_name(request.name))
        return api_key_service_pb2.GetApiKeyResponse(api_key=api_key_to_proto(key))

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Any
    ) -> api_key_service_pb2.ListApiKeysResponse:
        """List keys."""
        principal = await self._admin(request.parent, "ListApiKeys", context)
        keys, token = await self._keys.list(principal.organization, request.page_size, request.page_token)
        return api_key_service_pb2.ListApiKeysResponse(
            api_keys=[api_key_to_proto(key) for key in keys], next_page_token=token
        )

    async def RevokeApiKey(
        self, request: api_key_service_pb2.RevokeApiKeyRequest, context: Any
    ) -> api_key_service_pb2.RevokeApiKeyResponse:
        """End a key."""
        await self._admin(request.name, "RevokeApiKey", context)
        key = await self._keys.revoke(*split_key_name(request.name))
        return api_key_service_pb2.RevokeApiKeyResponse(api_key=api_key_to_proto(key))

    async def _admin(self, name: str, operation: str, context: Any) -> Principal:
        principal = await self._identity.authenticate(context.invocation_metadata())
        principal.require_organization(name.split("/")[1])
        principal.require_role("admin", operation)
        return principal
