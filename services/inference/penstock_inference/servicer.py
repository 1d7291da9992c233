"""InferenceService: wire to domain and back, nothing else."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from servicekit import context as request_context
from servicekit.errors import NotFound, ServiceError

from penstock_inference.catalog import AdapterLoader
from penstock_inference.embed import BATCH_TEXTS_MAX, Embedding
from penstock_inference.generate import Generate
from penstock_inference.journal import Journal
from penstock_inference.models import Models
from penstock_inference.wire import (
    generate_responses,
    generation_request,
    loaded_model,
    write_usage,
)
from penstock_inference.wire_input import prompt_input

MODELS_PAGE_MAX = 1000

FindAdapter = Callable[[str, str, str], AdapterLoader]


class InferenceServicer(inference_service_pb2_grpc.InferenceServiceServicer):
    """Serve models and the usage journal."""

    def __init__(
        self, models: Models, generate: Generate, journal: Journal, find_adapter: FindAdapter
    ) -> None:
        """Take the workflows; `find_adapter` says what loads an adapter, by its id, its base and its directory."""
        self._models = models
        self._find_adapter = find_adapter
        self._generate = generate
        self._journal = journal

    async def Generate(
        self, request: inference_service_pb2.GenerateRequest, _context: Any
    ) -> AsyncGenerator[inference_service_pb2.GenerateResponse]:
        """Generate answers."""
        tokenizer = self._models.generative(request.model).tokenizer
        deadline = request_context.current().deadline
        async with aclosing(self._generate(generation_request(request, deadline))) as events:
            async for event in events:
                for response in generate_responses(event, tokenizer):
                    yield response

    async def Embed(
        self, request: inference_service_pb2.EmbedRequest, _context: Any
    ) -> inference_service_pb2.EmbedResponse:
        """Embed texts."""
        response = inference_service_pb2.EmbedResponse()
        for start in range(0, len(request.items), BATCH_TEXTS_MAX):
            batch = request.items[start : start + BATCH_TEXTS_MAX]
            for outcome in await asyncio.gather(*map(self._embed, batch)):
                result = response.results.add()
                if isinstance(outcome, ServiceError):
                    result.status.CopyFrom(outcome.to_status())
                else:
                    result.vector, result.prompt_tokens = outcome.vector, outcome.prompt_tokens
        return response

    async def CountTokens(
        self, request: inference_service_pb2.CountTokensRequest, _context: Any
    ) -> inference_service_pb2.CountTokensResponse:
        """Count the tokens of prompts."""
        response = inference_service_pb2.CountTokensResponse()
        for item in request.items:
            result = response.results.add()
            try:
                model = self._models.generative(item.model)
                result.prompt_tokens = len(await model.prompts.tokens(prompt_input(item.input)))
                result.context_tokens = model.limits.context_tokens_max
            except ServiceError as error:
                result.status.CopyFrom(error.to_status())
        return response

    async def DecodeTokens(
        self, request: inference_service_pb2.DecodeTokensRequest, _context: Any
    ) -> inference_service_pb2.DecodeTokensResponse:
        """Give the texts of tokens."""
        response = inference_service_pb2.DecodeTokensResponse()
        for item in request.items:
            result = response.results.add()
            try:
                model = self._models.generative(item.model)
                result.text = model.prompts.text(tuple(item.tokens.ids))
            except ServiceError as error:
                result.status.CopyFrom(error.to_status())
        return response

    async def GetUsage(
        self, request: inference_service_pb2.GetUsageRequest, _context: Any
    ) -> inference_service_pb2.GetUsageResponse:
        """Look operations up in the journal."""
        await self._journal.read()
        response = inference_service_pb2.GetUsageResponse()
        for item in request.items:
            result = response.results.add()
            attempts = self._journal.usage(item.operation_id)
            write_usage(attempts, result)
            if not attempts:
                result.status.CopyFrom(_unknown_operation(item.operation_id).to_status())
        return response

    async def ListModels(
        self, request: inference_service_pb2.ListModelsRequest, _context: Any
    ) -> inference_service_pb2.ListModelsResponse:
        """List the loaded models by id; a page token is the last id of the page before."""
        rest = [model for model in self._models.all() if model.id > request.page_token]
        page = rest[: request.page_size or MODELS_PAGE_MAX]
        return inference_service_pb2.ListModelsResponse(
            models=map(loaded_model, page), next_page_token=page[-1].id if len(page) < len(rest) else ""
        )

    async def LoadModel(
        self, request: inference_service_pb2.LoadModelRequest, _context: Any
    ) -> inference_service_pb2.LoadModelResponse:
        """Load a model."""
        if request.HasField("adapter"):
            loader = self._find_adapter(request.model, request.adapter.base, request.adapter.directory)
            model = await self._models.load_adapter(request.model, loader)
        else:
            model = await self._models.load_model(request.model)
        return inference_service_pb2.LoadModelResponse(model=loaded_model(model))

    async def UnloadModel(
        self, request: inference_service_pb2.UnloadModelRequest, _context: Any
    ) -> inference_service_pb2.UnloadModelResponse:
        """Unload a model."""
        await self._models.unload_model(request.model, request.drain_seconds)
        return inference_service_pb2.UnloadModelResponse()

    async def _embed(self, item: inference_service_pb2.EmbedItem) -> Embedding | ServiceError:
        deadline = min(request_context.current().deadline, request_context.deadline_of(item.context))
        try:
            return await self._models.embedding(item.model).embed(item.text, deadline)
        except ServiceError as error:
            return error


def _unknown_operation(operation_id: str) -> NotFound:
    return NotFound(
        "RESOURCE_NOT_FOUND", "No usage of this operation is known.", metadata={"name": operation_id}
    )
