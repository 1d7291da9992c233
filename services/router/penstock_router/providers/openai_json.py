"""OpenAI's chat completions as JSON: our typed request written, its answers read. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, tool_pb2

from penstock_router.conversation import ROLE_NAMES
from penstock_router.providers import Delta, Event, Finished, GenerationCall, PromptCounted, UsageReported

FINISH_REASONS: Mapping[str, "chat_completion_pb2.FinishReason"] = {
    "stop": chat_completion_pb2.FINISH_REASON_STOP,
    "length": chat_completion_pb2.FINISH_REASON_LENGTH,
    "tool_calls": chat_completion_pb2.FINISH_REASON_TOOL_CALLS,
    "function_call": chat_completion_pb2.FINISH_REASON_TOOL_CALLS,
    "content_filter": chat_completion_pb2.FINISH_REASON_CONTENT_FILTER,
}
_TOOL_CHOICES = {
    tool_pb2.TOOL_CHOICE_MODE_NONE: "none",
    tool_pb2.TOOL_CHOICE_MODE_AUTO: "auto",
    tool_pb2.TOOL_CHOICE_MODE_REQUIRED: "required",
}
_OPTIONAL = (
    "temperature",
    "top_p",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "top_logprobs",
    "parallel_tool_calls",
    "top_k",
    "min_p",
    "repetition_penalty",
    "min_tokens",
)


class MalformedAnswerError(ValueError):
    """The provider's JSON is not a chat completion."""


def write_request(call: GenerationCall) -> bytes:
    """Write the body of POST /chat/completions."""
    parameters = call.parameters
    body: dict[str, Any] = {
        "model": call.target.model,
        "messages": [_message(message) for message in parameters.messages],
        "max_completion_tokens": call.completion_tokens_max,
        "stream": call.streaming,
    }
    if call.streaming:
        body["stream_options"] = {"include_usage": True}
    body |= {name: getattr(parameters, name) for name in _OPTIONAL if parameters.HasField(name)}
    _write_lists(parameters, body)
    _write_tools(parameters, body)
    return orjson.dumps(body)


def _write_lists(parameters: chat_completion_pb2.ChatCompletionParameters, body: dict[str, Any]) -> None:
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in parameters.logit_bias.items()}
    if parameters.logprobs:
        body["logprobs"] = True
    if parameters.reasoning_effort:
        body["reasoning_effort"] = parameters.reasoning_effort


def _write_tools(parameters: chat_completion_pb2.ChatCompletionParameters, body: dict[str, Any]) -> None:
    if parameters.tools:
        body["tools"] = [_tool(tool.function) for tool in parameters.tools]
    if parameters.HasField("tool_choice"):
        body["tool_choice"] = _tool_choice(parameters.tool_choice)
    if parameters.HasField("response_format"):
        body |= _form(parameters.response_format)


def read_answer(body: bytes) -> Iterator[Event]:
    """Read a whole answer as events.

    Raises:
        MalformedAnswerError: it is not JSON of a chat completion.
    """
    answer = _load(body)
    try:
        usage = answer.get("usage")
        counted = _usage(usage) if usage else None
        each = counted.completion_tokens if counted else 0
        yield PromptCounted(
            counted.prompt_tokens if counted else 0, 0, answer.get("system_fingerprint") or ""
        )
        for choice in answer["choices"]:
            yield from _choice(choice, choice["message"], each)
        if counted:
            yield counted
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswerError(f"{type(error).__name__}: {error}") from error


class ChunkReader:
    """Read the chunks of a streamed answer; one that carries text counts as one token until usage comes."""

    def __init__(self) -> None:
        self._tokens: dict[int, int] = {}

    def read(self, data: bytes) -> Iterator[Event]:
        """Read the data of one server-sent event.

        Raises:
            MalformedAnswerError: it is not JSON of a chunk, or it is an error.
        """
        chunk = _load(data)
        try:
            for choice in chunk.get("choices") or ():
                index = choice["index"]
                delta = choice.get("delta") or {}
                if delta.get("content") or delta.get("tool_calls") or delta.get("refusal"):
                    self._tokens[index] = self._tokens.get(index, 0) + 1
                yield from _choice(choice, delta, self._tokens.get(index, 0))
            if chunk.get("usage"):
                yield _usage(chunk["usage"])
        except (KeyError, TypeError, AttributeError) as error:
            raise MalformedAnswerError(f"{type(error).__name__}: {error}") from error


def _load(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswerError(str(error)) from error
    if not isinstance(answer, dict) or answer.get("error"):
        raise MalformedAnswerError("the answer is an error or no object")
    return answer


def _choice(choice: Mapping[str, Any], content: Mapping[str, Any], tokens: int) -> Iterator[Event]:
    index = choice["index"]
    calls = [_tool_call(call, position) for position, call in enumerate(content.get("tool_calls") or ())]
    text, refusal = content.get("content") or "", content.get("refusal") or ""
    logprobs = [_logprob(item) for item in (choice.get("logprobs") or {}).get("content") or ()]
    if text or calls or refusal:
        yield Delta(index, text, tokens, logprobs, calls, refusal)
    reason = choice.get("finish_reason")
    if reason:
        yield Finished(index, FINISH_REASONS.get(reason, chat_completion_pb2.FINISH_REASON_STOP), tokens)


def _usage(usage: Mapping[str, Any]) -> UsageReported:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return UsageReported(
        prompt_tokens=usage["prompt_tokens"],
        cached_prompt_tokens=prompt.get("cached_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") or 0,
    )


def _tool_call(call: Mapping[str, Any], position: int) -> chat_completion_pb2.ToolCallDelta:
    function = call.get("function") or {}
    return chat_completion_pb2.ToolCallDelta(
        index=call.get("index", position),
        id=call.get("id") or "",
        name=function.get("name") or "",
        arguments=function.get("arguments") or "",
    )


def _logprob(item: Mapping[str, Any]) -> chat_completion_pb2.TokenLogprob:
    return chat_completion_pb2.TokenLogprob(
        token=item["token"],
        logprob=item["logprob"],
        utf8=bytes(item.get("bytes") or ()),
        top=[_logprob(other) for other in item.get("top_logprobs") or ()],
    )


def _message(message: chat_message_pb2.ChatMessage) -> dict[str, Any]:
    written: dict[str, Any] = {"role": ROLE_NAMES[message.role], "content": _content(message)}
    if message.name:
        written["name"] = message.name
    if message.tool_call_id:
        written["tool_call_id"] = message.tool_call_id
    if message.HasField("refusal"):
        written["refusal"] = message.refusal
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
    return written


def _content(message: chat_message_pb2.ChatMessage) -> "str | list[dict[str, Any]] | None":
    match message.WhichOneof("content"):
        case "text":
            return message.text
        case "parts":
            return [_part(part) for part in message.parts.parts]
        case _:
            return None


def _part(part: chat_message_pb2.ContentPart) -> dict[str, Any]:
    match part.WhichOneof("part"):
        case "image_url":
            image = {"url": part.image_url.url}
            if part.image_url.detail:
                image["detail"] = part.image_url.detail
            return {"type": "image_url", "image_url": image}
        case "input_audio":
            audio = part.input_audio
            return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}
        case "file":
            names = ("file_data", "file_id", "filename")
            return {"type": "file", "file": {n: v for n in names if (v := getattr(part.file, n))}}
        case "refusal":
            return {"type": "refusal", "refusal": part.refusal}
        case _:
            return {"type": "text", "text": part.text}


def _tool(function: tool_pb2.FunctionDefinition) -> dict[str, Any]:
    written: dict[str, Any] = {"name": function.name}
    if function.description:
        written["description"] = function.description
    if function.parameters_json:
        written["parameters"] = orjson.Fragment(function.parameters_json)
    if function.strict:
        written["strict"] = True
    return {"type": "function", "function": written}


def _tool_choice(choice: tool_pb2.ToolChoice) -> "str | dict[str, Any]":
    if choice.HasField("function_name"):
        return {"type": "function", "function": {"name": choice.function_name}}
    return _TOOL_CHOICES[choice.mode]


def _form(response_format: tool_pb2.ResponseFormat) -> dict[str, Any]:
    """Write what OpenAI has in its way, and the rest in vLLM's."""
    match response_format.WhichOneof("format"):
        case "regex":
            return {"structured_outputs": {"regex": response_format.regex}}
        case "grammar":
            return {"structured_outputs": {"grammar": response_format.grammar}}
        case "choice":
            return {"structured_outputs": {"choice": list(response_format.choice.choices)}}
        case _:
            return {"response_format": _response_format(response_format)}


def _response_format(response_format: tool_pb2.ResponseFormat) -> dict[str, Any]:
    match response_format.WhichOneof("format"):
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            schema = response_format.json_schema
            written: dict[str, Any] = {"name": schema.name, "strict": schema.strict}
            if schema.description:
                written["description"] = schema.description
            if schema.schema_json:
                written["schema"] = orjson.Fragment(schema.schema_json)
            return {"type": "json_schema", "json_schema": written}
        case _:
            return {"type": "text"}
