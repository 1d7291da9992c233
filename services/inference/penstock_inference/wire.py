"""Wire to domain and back."""

from collections.abc import Callable, Sequence
from types import MappingProxyType

from penstock.inference.v1 import generation_pb2, inference_service_pb2
from penstock.router.v1 import chat_completion_pb2
from servicekit import context as request_context

from penstock_inference.answer import FinishReason
from penstock_inference.catalog import Model
from penstock_inference.generate import EndRequest, GenerationRequest, Started
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.mailbox import AnswerDelta
from penstock_inference.penalties import Penalties
from penstock_inference.sampler import SamplingParameters
from penstock_inference.sampling import Controls
from penstock_inference.sequence import Urgency
from penstock_inference.tokenizer import Tokenizer
from penstock_inference.usage_record import Attempt
from penstock_inference.wire_input import answer_form, prompt_input

PRIORITY_DEFAULT = 5

_FINISH_REASONS = MappingProxyType(
    {
        FinishReason.STOP: chat_completion_pb2.FINISH_REASON_STOP,
        FinishReason.TOOL_CALLS: chat_completion_pb2.FINISH_REASON_TOOL_CALLS,
        FinishReason.LENGTH: chat_completion_pb2.FINISH_REASON_LENGTH,
    }
)

TokenBytes = Callable[[int], bytes]


def generation_request(request: inference_service_pb2.GenerateRequest, deadline: float) -> GenerationRequest:
    """Read a request; `deadline` is that of the call, on the monotonic clock."""
    context, sampling = request.context, request.sampling
    return GenerationRequest(
        model=request.model,
        prompt=prompt_input(request.input),
        sampling=_sampling(sampling),
        ends=EndRequest(
            tuple(sampling.stop),
            sampling.max_tokens,
            sampling.min_tokens,
            sampling.ignore_eos,
            sampling.prompt_only,
        ),
        seed=sampling.seed if sampling.HasField("seed") else None,
        answers=request.n or 1,
        organization=context.organization,
        urgency=Urgency(
            context.priority or PRIORITY_DEFAULT, min(deadline, request_context.deadline_of(context))
        ),
        operation_id=request.operation_id or context.request_id,
        attempt=request.attempt,
        prompt_logprobs=sampling.prompt_logprobs,
        form=answer_form(request.constraint),
    )


def generate_responses(
    event: Started | AnswerDelta, tokenizer: Tokenizer
) -> list[inference_service_pb2.GenerateResponse]:
    """Write an event; the last delta of an answer is followed by its finish."""
    if isinstance(event, Started):
        started = generation_pb2.GenerationStarted(
            model=event.model,
            fingerprint=event.fingerprint,
            prompt_tokens=event.prompt_tokens,
            cached_prompt_tokens=event.cached_prompt_tokens,
            prompt_logprobs=[_logprob(each, tokenizer.written_bytes) for each in event.prompt_logprobs],
            first_token_utf8=tokenizer.written_bytes(event.first_token) if event.prompt_logprobs else b"",
        )
        return [inference_service_pb2.GenerateResponse(started=started)]
    responses = []
    if event.text or event.tool_calls or event.logprobs or event.finish_reason is None:
        responses.append(inference_service_pb2.GenerateResponse(delta=_delta(event, tokenizer.token_bytes)))
    if event.finish_reason is not None:
        finished = generation_pb2.GenerationFinished(
            choice_index=event.index,
            finish_reason=_FINISH_REASONS[event.finish_reason],
            completion_tokens=event.completion_tokens,
        )
        responses.append(inference_service_pb2.GenerateResponse(finished=finished))
    return responses


def write_usage(attempts: Sequence[Attempt], result: inference_service_pb2.GetUsageResult) -> None:
    """Write what attempts used. The same attempt may have been made twice: all that was used counts."""
    by_number: dict[int, inference_service_pb2.AttemptUsage] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.number):
        if attempt.number not in by_number:
            by_number[attempt.number] = result.attempts.add(attempt=attempt.number, ended=True)
        usage = by_number[attempt.number]
        usage.model = attempt.model
        usage.prompt_tokens += attempt.prompt_tokens
        usage.cached_prompt_tokens += attempt.cached_prompt_tokens
        usage.completion_tokens += attempt.completion_tokens
        usage.ended = usage.ended and attempt.ended
        usage.record_time.FromNanoseconds(attempt.record_time_ns)


def loaded_model(model: Model) -> inference_service_pb2.LoadedModel:
    """Describe a model."""
    wire = inference_service_pb2.LoadedModel(
        id=model.id, engine=model.engine, weights_kind=model.kind, fingerprint=model.fingerprint
    )
    if isinstance(model, GenerativeModel):
        wire.context_tokens = model.limits.context_tokens_max
        wire.slots = model.limits.slots_max
        wire.base = model.base
    else:
        wire.dimensions = model.dimensions
    return wire


def _sampling(wire: generation_pb2.SamplingParameters) -> SamplingParameters:
    return SamplingParameters(
        controls=Controls(
            temperature=wire.temperature if wire.HasField("temperature") else 1.0,
            top_k=wire.top_k,
            top_p=wire.top_p if wire.HasField("top_p") else 1.0,
            min_p=wire.min_p,
        ),
        penalties=Penalties(
            presence=wire.presence_penalty,
            frequency=wire.frequency_penalty,
            repetition=wire.repetition_penalty if wire.HasField("repetition_penalty") else 1.0,
        ),
        logit_bias=dict(wire.logit_bias),
        top_logprobs=wire.top_logprobs if wire.logprobs else None,
    )


def _delta(event: AnswerDelta, token_bytes: TokenBytes) -> generation_pb2.GenerationDelta:
    return generation_pb2.GenerationDelta(
        choice_index=event.index,
        text=event.text,
        completion_tokens=event.completion_tokens,
        logprobs=[_logprob(logprob, token_bytes) for logprob in event.logprobs],
        tool_calls=[
            chat_completion_pb2.ToolCallDelta(
                index=call.index, id=call.id, name=call.name, arguments=call.arguments
            )
            for call in event.tool_calls
        ],
    )


def _logprob(logprob: TokenLogprob, token_bytes: TokenBytes) -> chat_completion_pb2.TokenLogprob:
    utf8 = token_bytes(logprob.token)
    return chat_completion_pb2.TokenLogprob(
        token=utf8.decode(errors="replace"),
        logprob=logprob.logprob,
        utf8=utf8,
        top=[_logprob(TokenLogprob(token, value), token_bytes) for token, value in logprob.top],
    )
