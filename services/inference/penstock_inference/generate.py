"""Answer a request: its prompt's tokens, a place in the queue, the batch loop, and what comes of it as it comes.

`Generate` runs in the event loop and never blocks it. The batch loop (batcher.py) runs in a thread of its own: it asks
the scheduler (scheduler.py) for the next step, lets the engine compute it and chooses tokens (sampler.py). While it
computes the next, another thread (delivery.py) turns tokens into text (answer.py), records what was used (accounts.py),
and hands the results back to the event loop, where each request's mailbox (mailbox.py) collects them.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from servicekit.errors import InvalidArgument

from penstock_inference.answer import Answer
from penstock_inference.answer_text import AnswerText, Logprobs
from penstock_inference.forms import Form, tool_calls
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.grammar import Grammar, GrammarMask
from penstock_inference.job import Job
from penstock_inference.mailbox import AnswerDelta, Mailbox
from penstock_inference.models import Models
from penstock_inference.prompt import Chat, PromptInput
from penstock_inference.sampler import Sampler, SamplingParameters
from penstock_inference.sequence import EndConditions, Sequence, Urgency
from penstock_inference.tool_calls import ToolCallParser
from penstock_inference.usage_record import Attempt

STOP_CHARACTERS_MAX = 1024
_SEED_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class EndRequest:
    """When the caller wants answers to end."""

    stops: tuple[str, ...] = ()
    max_tokens: int = 0  # 0: what the context window leaves
    min_tokens: int = 0
    ignore_eos: bool = False
    prompt_only: bool = False  # answers end without a token, whatever the others say


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What is to be answered, how, for whom."""

    model: str
    prompt: PromptInput
    sampling: SamplingParameters
    ends: EndRequest
    seed: int | None
    answers: int
    organization: str
    urgency: Urgency
    operation_id: str
    attempt: int
    form: Form | None = None  # that every answer has; it ends by itself, whatever `ends` says of end tokens
    # Of the prompt's own tokens, with as many alternatives as the answer's, and of the end token.
    prompt_logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt was read."""

    model: str
    fingerprint: str
    prompt_tokens: int
    cached_prompt_tokens: int
    first_token: int  # of the prompt
    prompt_logprobs: Logprobs = ()  # from the second token on, when they are wanted


class Generate:
    """The workflow."""

    def __init__(self, models: Models, delta_interval_seconds: float) -> None:
        self._models = models
        self._delta_interval_seconds = delta_interval_seconds

    async def __call__(self, request: GenerationRequest) -> AsyncGenerator[Started | AnswerDelta]:
        """Give one `Started`, then deltas until each answer has its finish reason. Closing it early frees the slots.

        Raises:
            ServiceError: MODEL_NOT_FOUND, CONTEXT_LENGTH_EXCEEDED, UNSUPPORTED_FEATURE, INVALID_ARGUMENT, OVERLOADED,
                DEADLINE_EXCEEDED, DRAINING, DEPENDENCY_UNAVAILABLE (the model is still loading), STORAGE_UNAVAILABLE
                (the journal) or INTERNAL (the engine failed).
        """
        model = self._models.generative(request.model)
        _check(request, model)
        prompt = await model.prompts.tokens(request.prompt)
        grammar = await _grammar(request, model)
        mailbox = Mailbox(self._delta_interval_seconds)
        attempt = Attempt(request.operation_id, request.attempt, model.id)
        job = Job(*_answers(request, model, prompt, grammar), attempt, mailbox.put)
        unfinished = request.answers
        model.batcher.submit(job)
        try:
            deltas = await mailbox.take()
            yield Started(
                model.id,
                model.fingerprint,
                len(prompt),
                attempt.cached_prompt_tokens,
                prompt[0],
                max((delta.prompt_logprobs for delta in deltas), key=len),
            )
            while True:
                for delta in deltas:
                    unfinished -= delta.finish_reason is not None
                    yield delta
                if not unfinished:
                    return
                deltas = await mailbox.take()
        finally:
            if unfinished:
                model.batcher.cancel(job)


def _check(request: GenerationRequest, model: GenerativeModel) -> None:
    vocabulary, ends = model.limits.vocabulary_tokens, request.ends
    if any(token >= vocabulary for token in request.sampling.logit_bias):
        raise _invalid("sampling.logit_bias", f"Token ids of this model are below {vocabulary}.")
    if not all(0 < len(stop) <= STOP_CHARACTERS_MAX for stop in ends.stops):
        raise _invalid("sampling.stop", f"A stop text has 1 to {STOP_CHARACTERS_MAX} characters.")
    if ends.max_tokens and ends.min_tokens > ends.max_tokens:
        raise _invalid("sampling.min_tokens", "There are fewer tokens at most than at least.")


async def _grammar(request: GenerationRequest, model: GenerativeModel) -> Grammar | None:
    form, chat = request.form, request.prompt
    if isinstance(chat, Chat) and chat.must_call:
        if form is not None:
            raise _invalid("constraint", "A call of a tool is demanded, which has a form of its own.")
        functions = [tool["function"] for tool in chat.tools if tool["function"]["name"] in chat.must_call]
        form = tool_calls(functions, several=chat.several_calls)
    return None if form is None else await asyncio.to_thread(model.grammars.compile, form)


def _answers(
    request: GenerationRequest, model: GenerativeModel, prompt: list[int], grammar: Grammar | None
) -> tuple[list[Sequence], list[Answer]]:
    """Make the answers and their sequences; they differ in their random numbers only."""
    room = model.limits.context_tokens_max - len(prompt)
    max_tokens = 0 if request.ends.prompt_only else min(request.ends.max_tokens or room, room)
    min_tokens = 0 if grammar else request.ends.min_tokens
    end_tokens = () if request.ends.ignore_eos and not grammar else model.end_tokens
    ends = EndConditions(frozenset(end_tokens), max_tokens, min_tokens)
    sampling = replace(request.sampling, min_tokens=min_tokens, end_tokens=end_tokens)
    seed = secrets.randbits(64) if request.seed is None else request.seed & _SEED_MASK
    masks = [grammar.begin() if grammar else None for _ in range(request.answers)]
    sequences = [
        Sequence(
            prompt,
            organization=request.organization,
            urgency=request.urgency,
            ends=ends,
            sampler=Sampler(sampling, prompt, max_tokens or 1, (seed, choice), mask),
            scores_prompt=request.prompt_logprobs and choice == 0,
            adapter=model.adapter,
        )
        for choice, mask in enumerate(masks)
    ]
    return sequences, [_answer(request, model, ends, mask) for mask in masks]


def _answer(
    request: GenerationRequest, model: GenerativeModel, ends: EndConditions, mask: GrammarMask | None
) -> Answer:
    has_tools = isinstance(request.prompt, Chat) and bool(request.prompt.tools)
    calls = ToolCallParser(lambda: f"call_{secrets.token_hex(12)}") if has_tools else None
    text = AnswerText(model.tokenizer, request.ends.stops)
    check_form = mask.check if mask else lambda: None
    return Answer(ends, text, calls, check_form=check_form, scores_end=request.prompt_logprobs)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})
