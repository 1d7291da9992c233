"""A client of the inference service that reads like prose."""

import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from penstock.inference.v1 import generation_pb2, inference_service_pb2, inference_service_pb2_grpc
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2
from servicekit.errors import ServiceError, from_rpc_error
from servicekit.server import Running, Service
from testkit.waiting import until

MODEL = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
GREEDY = {"temperature": 0.0}
LOADING_SECONDS_MAX = 200.0  # with conversion, where two processors are shared with others

_operations = itertools.count()


@dataclass
class Answer:
    """One answer, put together from its events."""

    text: str = ""
    deltas: int = 0
    completion_tokens: int = 0
    finish_reason: int = 0
    logprobs: list[chat_completion_pb2.TokenLogprob] = field(default_factory=list)


class Client:
    """Talks to a service, and looks at its metrics."""

    def __init__(self, channel: grpc.aio.Channel, server: Running, service: Service) -> None:
        self.stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        self.channel = channel
        self.server = server
        self._service = service

    async def loaded(self) -> None:
        """Wait until the service takes work."""
        request = inference_service_pb2.ListModelsRequest()

        async def has_models() -> bool:
            return len((await self.stub.ListModels(request)).models) >= 2

        await until(has_models, LOADING_SECONDS_MAX)

    def stream(
        self, request: inference_service_pb2.GenerateRequest, seconds: float = LOADING_SECONDS_MAX
    ) -> AsyncIterator[inference_service_pb2.GenerateResponse]:
        return self.stub.Generate(request, timeout=seconds)

    async def answers(self, prompt: str | list[tuple[int, str]], **parameters: Any) -> list[Answer]:
        request = generate_request(prompt, **parameters)
        answers = [Answer() for _ in range(request.n or 1)]
        async for response in self.stream(request):
            collect(response, answers)
        return answers

    async def answer(self, prompt: str | list[tuple[int, str]], **parameters: Any) -> Answer:
        (answer,) = await self.answers(prompt, **parameters)
        return answer

    async def refusal(
        self, request: inference_service_pb2.GenerateRequest, seconds: float = LOADING_SECONDS_MAX
    ) -> ServiceError:
        try:
            async for _ in self.stream(request, seconds):
                pass
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        raise AssertionError("the request was answered")

    async def usage(self, operation_id: str) -> inference_service_pb2.GetUsageResult:
        request = inference_service_pb2.GetUsageRequest()
        request.items.add(operation_id=operation_id)
        (result,) = (await self.stub.GetUsage(request)).results
        return result

    async def ended_usage(self, operation_id: str) -> inference_service_pb2.AttemptUsage:
        async def ended() -> list[inference_service_pb2.AttemptUsage]:
            attempts = list((await self.usage(operation_id)).attempts)
            return attempts if all(attempt.ended for attempt in attempts) else []

        (attempt,) = await until(ended)
        return attempt

    def exposition(self) -> str:
        return self._service.metrics.exposition().decode()

    def metric(self, name: str) -> float:
        found = re.search(
            rf'^penstock_inference_{name}{{model="{MODEL}"}} (\S+)$', self.exposition(), re.MULTILINE
        )
        assert found, name
        return float(found[1])


def generate_request(
    prompt: str | list[tuple[int, str]],
    *,
    n: int = 0,
    model: str = MODEL,
    organization: str = "acme",
    operation_id: str = "",
    stop: tuple[str, ...] = (),
    **sampling: Any,
) -> inference_service_pb2.GenerateRequest:
    request = inference_service_pb2.GenerateRequest(model=model, n=n)
    request.context.organization = organization
    request.context.request_id = operation_id or f"request-{next(_operations)}"
    request.input.CopyFrom(generation_input(prompt))
    request.sampling.CopyFrom(generation_pb2.SamplingParameters(stop=stop, **sampling))
    return request


def generation_input(prompt: str | list[tuple[int, str]]) -> generation_pb2.GenerationInput:
    if isinstance(prompt, str):
        return generation_pb2.GenerationInput(prompt=prompt)
    messages = [chat_message_pb2.ChatMessage(role=role, text=text) for role, text in prompt]
    return generation_pb2.GenerationInput(chat=generation_pb2.ChatInput(messages=messages))


def collect(response: inference_service_pb2.GenerateResponse, answers: list[Answer]) -> None:
    match response.WhichOneof("event"):
        case "delta":
            answer = answers[response.delta.choice_index]
            answer.text += response.delta.text
            answer.deltas += 1
            assert answer.completion_tokens < response.delta.completion_tokens
            answer.completion_tokens = response.delta.completion_tokens
            answer.logprobs += response.delta.logprobs
        case "finished":
            answer = answers[response.finished.choice_index]
            assert not answer.finish_reason
            answer.finish_reason = response.finished.finish_reason
            answer.completion_tokens = response.finished.completion_tokens
