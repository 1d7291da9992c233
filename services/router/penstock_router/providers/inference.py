"""Our own inference service as a provider."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc.aio
from penstock.inference.v1 import generation_pb2, inference_service_pb2
from penstock.router.v1 import chat_completion_pb2
from servicekit import context as request_context
from servicekit.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, from_rpc_error

from penstock_router.peers import InferencePeer
from penstock_router.providers import (
    Delta,
    Event,
    Finished,
    GenerationCall,
    PromptCounted,
    ProviderFailedError,
    UsageReported,
)
from penstock_router.providers.prompt_input import echoes, prompt_input
from penstock_router.providers.several_prompts import continue_all, count_all

# Fields that both messages have, under the same name and meaning.
_SHARED = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "min_tokens",
    "ignore_eos",
    "logprobs",
    "top_logprobs",
)


class InferenceProvider:
    """Generates on the continuous batcher."""

    def __init__(self, peer: InferencePeer) -> None:
        self._peer = peer

    async def generate(self, call: GenerationCall) -> AsyncGenerator[Event]:
        """Answer on the batcher."""
        if len(call.prompts) > 1:
            async with aclosing(continue_all(self.generate, call)) as events:
                async for event in events:
                    yield event
            return
        stream = self._peer.generate(_request(call))
        counted = PromptCounted(0)
        completion_tokens = 0
        try:
            async for response in stream:
                event = _event(response)
                if isinstance(event, PromptCounted):
                    counted = event
                    for delta in echoes(call, response.started):
                        yield delta
                elif isinstance(event, Finished):
                    completion_tokens += event.completion_tokens
                yield event
            yield UsageReported(counted.prompt_tokens, counted.cached_prompt_tokens, completion_tokens, 0)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if isinstance(failure, InvalidArgument | DeadlineExceeded):
                raise failure from error
            busy = failure if isinstance(failure, ResourceExhausted) else None
            raise ProviderFailedError(str(failure), busy) from error
        finally:
            stream.cancel()

    async def count(self, call: GenerationCall) -> tuple[int, int]:
        """Count the prompt with the model's own tokenizer and template."""
        if len(call.prompts) > 1:
            return await count_all(self.count, call)
        result = await self._peer.count_tokens(
            inference_service_pb2.CountTokensItem(
                context=request_context.to_proto(request_context.current()),
                model=call.target.model,
                input=_input(call),
            )
        )
        return result.prompt_tokens, result.context_tokens

    async def usage(self, call: GenerationCall) -> UsageReported | None:
        """Read the usage journal."""
        usage = await self._peer.ended_usage(call.operation_id, call.attempt)
        return UsageReported(usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens, 0)


def _request(call: GenerationCall) -> inference_service_pb2.GenerateRequest:
    parameters = call.parameters
    sampling = generation_pb2.SamplingParameters(
        max_tokens=call.completion_tokens_max,
        prompt_only=not call.completion_tokens_max,
        prompt_logprobs=parameters.logprobs and any(prompt.echo for prompt in call.prompts),
        stop=parameters.stop,
        logit_bias=parameters.logit_bias,
    )
    for name in _SHARED:
        if _is_set(parameters, name):
            setattr(sampling, name, getattr(parameters, name))
    context = request_context.to_proto(request_context.current())
    context.priority = parameters.priority or context.priority
    request = inference_service_pb2.GenerateRequest(
        context=context,
        model=call.target.model,
        input=_input(call),
        sampling=sampling,
        n=parameters.n,
        operation_id=call.operation_id,
        attempt=call.attempt,
    )
    if parameters.HasField("response_format"):
        request.constraint.response_format.CopyFrom(parameters.response_format)
    return request


def _is_set(parameters: chat_completion_pb2.ChatCompletionParameters, name: str) -> bool:
    value = getattr(parameters, name)
    return value is True if isinstance(value, bool) else parameters.HasField(name)


def _input(call: GenerationCall) -> generation_pb2.GenerationInput:
    if call.prompts:
        return prompt_input(call.prompts[0])
    parameters = call.parameters
    chat = generation_pb2.ChatInput(messages=parameters.messages, tools=parameters.tools)
    if parameters.HasField("tool_choice"):
        chat.tool_choice.CopyFrom(parameters.tool_choice)
    if parameters.HasField("parallel_tool_calls"):
        chat.parallel_tool_calls = parameters.parallel_tool_calls
    return generation_pb2.GenerationInput(chat=chat)


def _event(response: inference_service_pb2.GenerateResponse) -> Event:
    match response.WhichOneof("event"):
        case "started":
            started = response.started
            return PromptCounted(started.prompt_tokens, started.cached_prompt_tokens, started.fingerprint)
        case "delta":
            delta = response.delta
            return Delta(
                delta.choice_index, delta.text, delta.completion_tokens, delta.logprobs, delta.tool_calls
            )
        case _:
            finished = response.finished
            return Finished(finished.choice_index, finished.finish_reason, finished.completion_tokens)
