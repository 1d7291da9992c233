"""What the pipeline asks of whatever generates: our own inference, or an HTTP API of OpenAI's form."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from penstock.router.v1 import chat_completion_pb2
from servicekit.errors import ServiceError

from penstock_router.catalog import Target


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text to be continued as it is."""

    text: str
    token_ids: Sequence[int] = ()  # that it came as; none: it came as text
    echo: bool = False  # answers begin with it


@dataclass(frozen=True, slots=True)
class GenerationCall:
    """One try at answering. `parameters` and `prompts` hold redacted texts only."""

    parameters: chat_completion_pb2.ChatCompletionParameters
    target: Target
    completion_tokens_max: int
    operation_id: str
    attempt: int
    streaming: bool
    prompts: tuple[Prompt, ...] = ()  # to be continued instead of the parameters' messages

    @property
    def answers(self) -> int:
        """How many answers are asked for."""
        return (self.parameters.n or 1) * (len(self.prompts) or 1)

    def at(self, target: Target, attempt: int = 0) -> "GenerationCall":
        """Give the same call at another target."""
        if target is self.target and attempt == self.attempt:
            return self
        return replace(self, target=target, attempt=attempt)

    def with_limit(self, completion_tokens_max: int) -> "GenerationCall":
        """Give the same call with another limit."""
        return replace(self, completion_tokens_max=completion_tokens_max)


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of one answer, and how many tokens that answer has by now."""

    index: int
    text: str
    completion_tokens: int
    logprobs: Sequence[chat_completion_pb2.TokenLogprob] = ()
    tool_calls: Sequence[chat_completion_pb2.ToolCallDelta] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """One answer is whole."""

    index: int
    reason: "chat_completion_pb2.FinishReason"
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class PromptCounted:
    """The prompt was read."""

    prompt_tokens: int
    cached_prompt_tokens: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class UsageReported:
    """The provider's own count of the whole request; it overrides what was counted on the way."""

    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


Event = Delta | Finished | PromptCounted | UsageReported


class ProviderFailedError(Exception):
    """The endpoint failed, not the request: another endpoint may do it. The message is for logs, never for callers.

    Args:
        refusal: what the caller is told when no other endpoint does it; given when the endpoint is well but full.
    """

    def __init__(self, message: str, refusal: ServiceError | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class Provider(Protocol):
    """Generates answers at one endpoint."""

    def generate(self, call: GenerationCall) -> AsyncGenerator[Event]:
        """Answer, as events; cancelling stops the generation.

        Raises:
            ProviderFailedError: try another endpoint.
            ServiceError: the request itself cannot be answered; no endpoint is tried after it.
        """

    async def count(self, call: GenerationCall) -> tuple[int, int]:
        """Give the tokens of the prompt (exact, or an upper bound) and of the context window (0: not known)."""

    async def usage(self, call: GenerationCall) -> UsageReported | None:
        """Say what a generation that broke off did produce; None: this endpoint never tells.

        Raises:
            ServiceError: it cannot tell now.
        """
