"""Continuing texts: a completion is a chat whose turns are prompts, each continued by itself and without a template."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from penstock.inference.v1 import inference_service_pb2
from penstock.router.v1 import completion_pb2, embedding_pb2
from servicekit import context as request_context
from servicekit.errors import InvalidArgument, ServiceError

from penstock_router.catalog import Catalog, Model
from penstock_router.identity import Principal
from penstock_router.peers import InferencePeer
from penstock_router.pipeline import ChatPipeline
from penstock_router.prompts import as_chat, as_completion
from penstock_router.providers import Prompt

Parameters = completion_pb2.CompletionParameters
Completion = completion_pb2.Completion


class Completions:
    """Continues texts by the steps that answer conversations."""

    def __init__(self, pipeline: ChatPipeline, catalog: Catalog, inference: InferencePeer) -> None:
        self._pipeline = pipeline
        self._catalog = catalog
        self._inference = inference

    async def complete(self, parameters: Parameters, principal: Principal) -> Completion:
        """Continue whole."""
        prompts = await self._prompts(parameters, principal)
        said = await self._pipeline.complete(as_chat(parameters, prompts), principal, prompts)
        return as_completion(said)

    async def stream(self, parameters: Parameters, principal: Principal) -> AsyncGenerator[Completion]:
        """Continue as the answers come."""
        prompts = await self._prompts(parameters, principal)
        chat = as_chat(parameters, prompts)
        async with aclosing(self._pipeline.stream(chat, principal, prompts)) as chunks:
            async for chunk in chunks:
                yield as_completion(chunk)

    async def _prompts(self, parameters: Parameters, principal: Principal) -> list[Prompt]:
        """Read the prompts: what came as tokens is made text, which the guardrail can inspect."""
        model = self._catalog.model(parameters.model, principal.models)
        model.require("completions", "model")
        tokens = [each.tokens for each in parameters.prompts if each.HasField("tokens")]
        texts = iter(await self._texts(model, tokens) if tokens else ())
        return [
            Prompt(next(texts), tuple(each.tokens.ids), parameters.echo)
            if each.HasField("tokens")
            else Prompt(each.text, (), parameters.echo)
            for each in parameters.prompts
        ]

    async def _texts(self, model: Model, tokens: Sequence[embedding_pb2.TokenIds]) -> list[str]:
        """Decode tokens where the model runs; an endpoint that is not ours does not say what they mean."""
        endpoints = self._catalog.endpoints
        ours = (target for target in model.targets if endpoints[target.endpoint].kind == "inference")
        target = next(ours, None)
        if target is None:
            raise InvalidArgument(
                "UNSUPPORTED_FEATURE",
                f"{model.id} reads text only.",
                metadata={"field": "prompts", "model": model.id},
            )
        context = request_context.to_proto(request_context.current())
        results = await self._inference.decode_tokens(
            [
                inference_service_pb2.DecodeTokensItem(context=context, model=target.model, tokens=each)
                for each in tokens
            ]
        )
        texts = []
        for result in results:
            if isinstance(result, ServiceError):
                raise result
            texts.append(result.text)
        return texts
