"""GRPCInferenceService: KServe's Open Inference Protocol v2 with Triton's ModelStreamInfer, on the same models."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

from servicekit import context as request_context
from servicekit.errors import ServiceError
from tritonclient.grpc import service_pb2, service_pb2_grpc

from penstock_inference.catalog import Model
from penstock_inference.embed import EmbeddingModel
from penstock_inference.generate import Generate, Started
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.kserve_tensors import (
    EMBEDDING,
    EMPTY_FINAL,
    FINISH_REASON,
    PLATFORM,
    TEXT_OUTPUT,
    VERSION,
    bytes_tensor,
    check_request,
    generation_request,
    infer_response,
    invalid,
    metadata,
    texts,
)
from penstock_inference.mailbox import AnswerDelta
from penstock_inference.models import Models

_FINAL = "triton_final_response"
_DRAIN_SECONDS = 30.0

add_servicer = service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server


class OpenInferenceServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serve models to whoever speaks KServe's or Triton's protocol."""

    def __init__(self, models: Models, generate: Generate) -> None:
        self._models = models
        self._generate = generate

    async def ServerLive(
        self, _request: service_pb2.ServerLiveRequest, _context: Any
    ) -> service_pb2.ServerLiveResponse:
        """Say that the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(
        self, _request: service_pb2.ServerReadyRequest, _context: Any
    ) -> service_pb2.ServerReadyResponse:
        """Say whether every model is loaded, warm and well."""
        return service_pb2.ServerReadyResponse(ready=await _is_well(self._models.check()))

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, _context: Any
    ) -> service_pb2.ModelReadyResponse:
        """Say whether a model is loaded, warm and well."""
        model = self._models.get(request.name)
        return service_pb2.ModelReadyResponse(ready=model is not None and await _is_well(model.check()))

    async def ServerMetadata(
        self, _request: service_pb2.ServerMetadataRequest, _context: Any
    ) -> service_pb2.ServerMetadataResponse:
        """Say what this is."""
        return service_pb2.ServerMetadataResponse(
            name=PLATFORM, version=version("penstock-inference"), extensions=["model_repository"]
        )

    async def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, _context: Any
    ) -> service_pb2.ModelMetadataResponse:
        """Describe a model's tensors."""
        return metadata(self._models.find(request.name))

    async def ModelInfer(
        self, request: service_pb2.ModelInferRequest, _context: Any
    ) -> service_pb2.ModelInferResponse:
        """Answer a text, or embed texts."""
        model = self._find(request)
        if isinstance(model, EmbeddingModel):
            return await _embed(model, request)
        text, reason = "", ""
        async with aclosing(self._generate(generation_request(request))) as events:
            async for event in events:
                if isinstance(event, AnswerDelta):
                    text += event.text
                    reason = event.finish_reason.value if event.finish_reason else ""
        tensors = [bytes_tensor(TEXT_OUTPUT, text), bytes_tensor(FINISH_REASON, reason)]
        return infer_response(request, tensors)

    async def ModelStreamInfer(
        self, requests: AsyncIterator[service_pb2.ModelInferRequest], _context: Any
    ) -> AsyncGenerator[service_pb2.ModelStreamInferResponse]:
        """Answer one request after the other, each as its answer comes. A refused request does not end the stream."""
        async for request in requests:
            try:
                async with aclosing(self._stream(request)) as responses:
                    async for response in responses:
                        yield service_pb2.ModelStreamInferResponse(infer_response=response)
            except ServiceError as error:
                failed = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
                yield service_pb2.ModelStreamInferResponse(error_message=str(error), infer_response=failed)

    async def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, _context: Any
    ) -> service_pb2.RepositoryIndexResponse:
        """List the configured models."""
        response = service_pb2.RepositoryIndexResponse()
        for model_id in self._models.ids():
            ready = self._models.get(model_id) is not None
            if ready or not request.ready:
                response.models.add(name=model_id, version=VERSION, state="READY" if ready else "UNAVAILABLE")
        return response

    async def RepositoryModelLoad(
        self, request: service_pb2.RepositoryModelLoadRequest, _context: Any
    ) -> service_pb2.RepositoryModelLoadResponse:
        """Load a configured model."""
        await self._models.load_model(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: service_pb2.RepositoryModelUnloadRequest, _context: Any
    ) -> service_pb2.RepositoryModelUnloadResponse:
        """Unload a model once its answers have ended."""
        await self._models.unload_model(request.model_name, _DRAIN_SECONDS)
        return service_pb2.RepositoryModelUnloadResponse()

    async def _stream(
        self, request: service_pb2.ModelInferRequest
    ) -> AsyncGenerator[service_pb2.ModelInferResponse]:
        model = self._find(request)
        if not isinstance(model, GenerativeModel):
            yield await _embed(model, request)
            return
        parameters = request.parameters
        wants_empty = EMPTY_FINAL in parameters and parameters[EMPTY_FINAL].bool_param
        async with aclosing(self._generate(generation_request(request))) as events:
            async for event in events:
                if isinstance(event, Started):
                    continue
                tensors = [bytes_tensor(TEXT_OUTPUT, event.text)]
                if event.finish_reason:
                    tensors.append(bytes_tensor(FINISH_REASON, event.finish_reason.value))
                response = infer_response(request, tensors)
                response.parameters[_FINAL].bool_param = bool(event.finish_reason) and not wants_empty
                yield response
        if wants_empty:
            final = infer_response(request, [])
            final.parameters[_FINAL].bool_param = True
            yield final

    def _find(self, request: service_pb2.ModelInferRequest) -> Model:
        model = self._models.find(request.model_name)
        check_request(model, request)
        return model


async def _embed(
    model: EmbeddingModel, request: service_pb2.ModelInferRequest
) -> service_pb2.ModelInferResponse:
    items = texts(request)
    if not all(items):
        raise invalid("text_input", "An empty text has no meaning.")
    deadline = request_context.current().deadline
    embeddings = await asyncio.gather(*(model.embed(text, deadline) for text in items))
    contents = b"".join(embedding.vector for embedding in embeddings)
    return infer_response(request, [(EMBEDDING, "FP32", [len(items), model.dimensions], contents)])


async def _is_well(check: Any) -> bool:
    try:
        await check
    except ServiceError:
        return False
    return True
