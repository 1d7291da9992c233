"""Admitting a request: what the model can do, where it may run, and money set aside for the worst case."""

from collections.abc import Sequence

from penstock.billing.v1 import hold_service_pb2
from penstock.router.v1 import chat_completion_pb2
from servicekit.background import gathered
from servicekit.errors import InvalidArgument

from penstock_router.catalog import Model
from penstock_router.conversation import has_media
from penstock_router.identity import Principal
from penstock_router.leases import Leases
from penstock_router.operation import Operation
from penstock_router.peers import BillingPeer
from penstock_router.prompts import as_screened
from penstock_router.providers import GenerationCall, Prompt
from penstock_router.routing import Router

Parameters = chat_completion_pb2.ChatCompletionParameters


class Admission:
    """Decides whether and with how many tokens a request may run."""

    def __init__(self, router: Router, billing: BillingPeer, leases: Leases) -> None:
        self._router = router
        self._billing = billing
        self._leases = leases

    def begin(
        self, parameters: Parameters, principal: Principal, prompts: Sequence[Prompt] = ()
    ) -> Operation:
        """Open an operation: a conversation, or prompts whose texts are in the places of its messages.

        Raises:
            NotFound: no such model (MODEL_NOT_FOUND).
            InvalidArgument: the model cannot do what a field asks for (UNSUPPORTED_FEATURE).
        """
        model = self._router.catalog.model(parameters.model, principal.models)
        model.require("completions" if prompts else "chat", "model")
        _require_capabilities(model, parameters)
        _require_storable(parameters)
        operation = Operation("completion" if prompts else "chat", model, principal)
        operation.prompts = prompts
        operation.metadata = dict(parameters.metadata)
        if parameters.user and not principal.user:
            operation.context.user = parameters.user
        if parameters.priority:
            operation.context.priority = parameters.priority
        return operation

    async def authorize(self, operation: Operation, asked: Parameters, *, streaming: bool) -> GenerationCall:
        """Count the prompt, set the worst case aside, and give the call with as many tokens as the balance buys.

        Raises:
            InvalidArgument: the prompt fills the context window (CONTEXT_LENGTH_EXCEEDED).
            ResourceExhausted: a budget or a limit is used up (BUDGET_EXCEEDED, RATE_LIMIT_EXCEEDED, ...).
            FailedPrecondition: no price is known (PRICE_UNKNOWN).
            PermissionDenied: the guardrail lets the texts go to no endpoint of the model (CONTENT_REFUSED).
            Unavailable: billing does not answer.
        """
        model = operation.model
        operation.targets = self._router.eligible(
            model, private_only=operation.private_only, regions=operation.regions
        )
        limited = asked.HasField("max_completion_tokens")
        call = GenerationCall(
            parameters=asked,
            target=operation.targets[0],
            completion_tokens_max=asked.max_completion_tokens if limited else model.completion_tokens_max,
            operation_id=operation.id,
            attempt=0,
            streaming=streaming,
            prompts=as_screened(operation.prompts, asked.messages),
        )
        prompt_tokens, room = await self._count(operation, call)
        grant = await self._billing.authorize(
            hold_service_pb2.AuthorizeItem(
                context=operation.context,
                operation_id=operation.id,
                skus=list(dict.fromkeys(target.sku for target in operation.targets)),
                prompt_tokens=prompt_tokens,
                max_tokens=min(call.completion_tokens_max, room),
                n=call.answers,
                lease=self._leases.first,
                holder=self._leases.holder,
                model=model.id,
            )
        )
        self._leases.keep(operation)
        operation.grant = grant
        operation.limited = operation.limited and not grant.clamped
        return call.with_limit(grant.max_tokens)

    async def _count(self, operation: Operation, call: GenerationCall) -> tuple[int, int]:
        """Give the prompt's tokens (the most of all targets) and the room for an answer (the least of all targets)."""
        calls = [call.at(target) for target in operation.targets]
        counts = await gathered([self._router.provider(c.target).count(c) for c in calls])
        model = operation.model
        for prompt_tokens, context_tokens in counts:
            window = context_tokens or model.context_tokens
            if context_tokens and prompt_tokens >= window:
                raise InvalidArgument(
                    "CONTEXT_LENGTH_EXCEEDED",
                    f"The prompt has {prompt_tokens} tokens; {model.id} holds {window}, prompt and answer together.",
                    metadata={"prompt_tokens": str(prompt_tokens), "context_tokens": str(window)},
                )
        prompt_tokens = max(prompt for prompt, _ in counts)
        rooms = [context - prompt for prompt, context in counts if context]
        return prompt_tokens, min(rooms, default=call.completion_tokens_max)


def _require_capabilities(model: Model, parameters: Parameters) -> None:
    if parameters.tools:
        model.require("tools", "tools")
    if parameters.response_format.WhichOneof("format") not in (None, "text"):
        model.require("structured_output", "response_format")
    if parameters.logprobs:
        model.require("logprobs", "logprobs")
    if has_media(parameters.messages):
        model.require("images", "messages")


def _require_storable(parameters: Parameters) -> None:
    """Refuse NUL in what the ledger keeps: a settlement that no store takes would be an answer for nothing."""
    texts = [("user", parameters.user)]
    texts += [("metadata", text) for pair in parameters.metadata.items() for text in pair]
    for field, text in texts:
        if "\0" in text:
            raise InvalidArgument(
                "INVALID_ARGUMENT",
                f"{field} holds a NUL character.",
                metadata={"field": f"parameters.{field}"},
            )
