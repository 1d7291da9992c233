"""Embedding texts: screened, authorized and settled as a chat is; vectors come from our own inference."""

import struct
from collections.abc import Sequence

from penstock.billing.v1 import hold_pb2, hold_service_pb2
from penstock.inference.v1 import inference_service_pb2
from penstock.router.v1 import chat_completion_pb2, embedding_pb2
from servicekit.errors import InvalidArgument, ServiceError

from penstock_router.attempt import Attempt
from penstock_router.catalog import Model
from penstock_router.conversation import segment
from penstock_router.identity import Principal
from penstock_router.leases import Leases
from penstock_router.operation import Operation
from penstock_router.peers import BillingPeer, InferencePeer
from penstock_router.providers import UsageReported
from penstock_router.release import Guard
from penstock_router.routing import Router
from penstock_router.settlement import Settlement

Parameters = embedding_pb2.EmbeddingParameters


class Embeddings:
    """Turns texts into vectors."""

    def __init__(
        self,
        router: Router,
        guard: Guard,
        billing: BillingPeer,
        inference: InferencePeer,
        settlement: Settlement,
        leases: Leases,
    ) -> None:
        self._router = router
        self._guard = guard
        self._billing = billing
        self._inference = inference
        self._settlement = settlement
        self._leases = leases

    async def embed(self, parameters: Parameters, principal: Principal) -> embedding_pb2.EmbeddingList:
        """Embed all inputs, or none.

        Raises:
            NotFound: no such model (MODEL_NOT_FOUND).
            InvalidArgument: the model cannot embed, or not what was sent (UNSUPPORTED_FEATURE).
            ServiceError: as the steps say.
        """
        model = self._router.catalog.model(parameters.model, principal.models)
        texts = _texts(model, parameters)
        operation = Operation("embedding", model, principal)
        try:
            redactions = await self._guard.screen_texts(operation, [segment(text, "user") for text in texts])
            for redaction in redactions:
                texts[redaction.segment_index] = redaction.text
            await self._authorize(operation, texts)
            vectors, tokens = await self._embed(operation, texts)
        finally:
            operation.conclude()
            await self._settlement.close(operation)
        return embedding_pb2.EmbeddingList(
            embeddings=[embedding_pb2.Embedding(index=i, values=vector) for i, vector in enumerate(vectors)],
            model=model.id,
            usage=chat_completion_pb2.Usage(prompt_tokens=tokens, total_tokens=tokens),
            receipt=operation.receipt(),
        )

    async def _authorize(self, operation: Operation, texts: Sequence[str]) -> None:
        """Hold the worst case: no tokenizer makes more tokens than bytes, and two that mark the ends."""
        operation.targets = self._router.eligible(
            operation.model, private_only=operation.private_only, regions=operation.regions
        )
        grant = await self._billing.authorize(
            hold_service_pb2.AuthorizeItem(
                context=operation.context,
                operation_id=operation.id,
                skus=[operation.targets[0].sku],
                prompt_tokens=sum(len(text.encode()) + 2 for text in texts),
                lease=self._leases.first,
                holder=self._leases.holder,
                model=operation.model.id,
            )
        )
        self._leases.keep(operation)
        operation.grant = grant

    async def _embed(self, operation: Operation, texts: Sequence[str]) -> tuple[list[Sequence[float]], int]:
        attempt = operation.begin_attempt(operation.targets[0])
        items = [
            inference_service_pb2.EmbedItem(context=operation.context, model=attempt.target.model, text=text)
            for text in texts
        ]
        results = await self._inference.embed(items)
        return _vectors(attempt, results)


def _vectors(
    attempt: Attempt, results: "Sequence[inference_service_pb2.EmbedResult | ServiceError]"
) -> tuple[list[Sequence[float]], int]:
    vectors: list[Sequence[float]] = []
    tokens = 0
    for result in results:
        if isinstance(result, ServiceError):
            raise result
        vectors.append(struct.unpack(f"<{len(result.vector) // 4}f", result.vector))
        tokens += result.prompt_tokens
    attempt.report(UsageReported(tokens, 0, 0, 0))
    attempt.outcome = hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    return vectors, tokens


def _texts(model: Model, parameters: Parameters) -> list[str]:
    model.require("embeddings", "model")
    if parameters.HasField("dimensions"):
        raise _unsupported(model, "dimensions")
    if any(item.HasField("tokens") for item in parameters.inputs):
        raise _unsupported(model, "input")
    return [item.text for item in parameters.inputs]


def _unsupported(model: Model, field: str) -> InvalidArgument:
    return InvalidArgument(
        "UNSUPPORTED_FEATURE",
        f"{model.id} cannot do what {field} asks for.",
        metadata={"field": field, "model": model.id},
    )
