"""What a request asks to be continued, from the wire."""

import contextlib
import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from penstock.inference.v1 import generation_pb2
from penstock.router.v1 import chat_message_pb2, tool_pb2
from servicekit.errors import InvalidArgument

from penstock_inference.chat_template import ChatTurn
from penstock_inference.forms import Form, choice, grammar, json_object, json_schema, regex
from penstock_inference.prompt import Chat, PromptInput, unsupported

_NESTING_MAX = 128  # as deep as llguidance reads schemas
_TOO_DEEP = f"it is nested deeper than {_NESTING_MAX} levels"

_ROLES = MappingProxyType(
    {
        chat_message_pb2.CHAT_ROLE_SYSTEM: "system",
        chat_message_pb2.CHAT_ROLE_DEVELOPER: "system",
        chat_message_pb2.CHAT_ROLE_USER: "user",
        chat_message_pb2.CHAT_ROLE_ASSISTANT: "assistant",
        chat_message_pb2.CHAT_ROLE_TOOL: "tool",
    }
)


def prompt_input(wire: generation_pb2.GenerationInput) -> PromptInput:
    """Read what a model is to continue.

    Raises:
        InvalidArgument: it holds what no model here can read (UNSUPPORTED_FEATURE), or a tool that is not JSON.
    """
    match wire.WhichOneof("input"):
        case "prompt":
            return wire.prompt
        case "tokens":
            return tuple(wire.tokens.ids)
    chat = wire.chat
    several_calls = chat.parallel_tool_calls if chat.HasField("parallel_tool_calls") else True
    return Chat(tuple(map(_turn, chat.messages)), tuple(_tools(chat)), _must_call(chat), several_calls)


def answer_form(wire: generation_pb2.OutputConstraint) -> Form | None:
    """Read what every answer has to look like; None: anything.

    Raises:
        InvalidArgument: a schema is not JSON.
    """
    match wire.WhichOneof("form"):
        case "regex":
            return regex(wire.regex)
        case "grammar":
            return grammar(wire.grammar)
        case _:
            return _response_form(wire.response_format)


def _response_form(wire: tool_pb2.ResponseFormat) -> Form | None:
    match wire.WhichOneof("format"):
        case "json_schema":
            field = "constraint.response_format.json_schema.schema_json"
            return json_schema(_json(wire.json_schema.schema_json, field))
        case "json_object":
            return json_object()
        case "regex":
            return regex(wire.regex)
        case "grammar":
            return grammar(wire.grammar)
        case "choice":
            return choice(wire.choice.choices)
        case _:
            return None


def _turn(message: chat_message_pb2.ChatMessage) -> ChatTurn:
    extras: dict[str, Any] = {}
    if message.name:
        extras["name"] = message.name
    if message.tool_calls:
        extras["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id:
        extras["tool_call_id"] = message.tool_call_id
    return ChatTurn(_ROLES[message.role], _content(message), extras)


def _content(message: chat_message_pb2.ChatMessage) -> str:
    match message.WhichOneof("content"):
        case "text":
            return message.text
        case "parts":
            return "\n".join(map(_part_text, message.parts.parts))
        case _:
            return message.refusal


def _part_text(part: chat_message_pb2.ContentPart) -> str:
    kind = part.WhichOneof("part")
    if kind not in {"text", "refusal"}:
        raise unsupported(f"input.chat.messages.parts.{kind}", "The model reads text only.")
    text: str = getattr(part, kind)
    return text


def _tool_call(call: chat_message_pb2.ToolCall) -> dict[str, Any]:
    arguments: Any = call.function.arguments
    with contextlib.suppress(ValueError):  # a model wrote it: what is not JSON stays text
        arguments = _parse(arguments)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": arguments},
    }


def _tools(chat: generation_pb2.ChatInput) -> list[dict[str, Any]]:
    if chat.tool_choice.mode == tool_pb2.TOOL_CHOICE_MODE_NONE:
        return []
    return [_tool(tool.function, place) for place, tool in enumerate(chat.tools)]


def _must_call(chat: generation_pb2.ChatInput) -> tuple[str, ...]:
    names = tuple(tool.function.name for tool in chat.tools)
    if chat.tool_choice.HasField("function_name"):
        wanted: tuple[str, ...] = (chat.tool_choice.function_name,)
    elif chat.tool_choice.mode == tool_pb2.TOOL_CHOICE_MODE_REQUIRED:
        wanted = names
    else:
        return ()
    if not wanted or not set(wanted) <= set(names):
        raise InvalidArgument(
            "INVALID_ARGUMENT",
            "There is no such tool to choose.",
            metadata={"field": "input.chat.tool_choice"},
        )
    return wanted


def _tool(function: tool_pb2.FunctionDefinition, place: int) -> dict[str, Any]:
    parameters = _json(
        function.parameters_json or "{}", f"input.chat.tools[{place}].function.parameters_json"
    )
    if not isinstance(parameters, dict):
        raise _not_json("it is no object", f"input.chat.tools[{place}].function.parameters_json")
    described = {"name": function.name, "description": function.description, "parameters": parameters}
    return {"type": "function", "function": described}


def _json(text: str, field: str) -> Any:
    try:
        return _parse(text)
    except ValueError as error:
        raise _not_json(str(error), field) from error


def _parse(text: str) -> Any:
    """Read JSON that everybody behind can walk through. Raises ValueError for what is not, or is nested too deep."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    level = [value]
    for _ in range(_NESTING_MAX):
        level = [item for outer in level for item in _items(outer)]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _not_json(why: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_ARGUMENT", f"It is not JSON that is wanted: {why}", metadata={"field": field}
    )
