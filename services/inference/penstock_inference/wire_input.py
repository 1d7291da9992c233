"""What a request asks to be continued, from the wire."""

import contextlib
import json
from types import MappingProxyType
from typing import Any

from penstock.inference.v1 import generation_pb2
from penstock.router.v1 import chat_message_pb2, tool_pb2
from servicekit.errors import InvalidArgument

from penstock_inference.chat_template import ChatTurn
from penstock_inference.prompt import Chat, PromptInput, unsupported

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
    if wire.WhichOneof("input") == "prompt":
        return wire.prompt
    return Chat(tuple(map(_turn, wire.chat.messages)), tuple(_tools(wire.chat)))


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
        arguments = json.loads(arguments)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": arguments},
    }


def _tools(chat: generation_pb2.ChatInput) -> list[dict[str, Any]]:
    match chat.tool_choice.WhichOneof("choice"), chat.tool_choice.mode:
        case "mode", tool_pb2.TOOL_CHOICE_MODE_NONE:
            return []
        case (None, _) | ("mode", tool_pb2.TOOL_CHOICE_MODE_AUTO):
            return [_tool(tool.function, place) for place, tool in enumerate(chat.tools)]
        case _:
            raise unsupported("input.chat.tool_choice", "The model cannot be made to call a tool.")


def _tool(function: tool_pb2.FunctionDefinition, place: int) -> dict[str, Any]:
    try:
        parameters = json.loads(function.parameters_json or "{}")
    except ValueError as error:
        field = f"input.chat.tools[{place}].function.parameters_json"
        raise InvalidArgument(
            "INVALID_ARGUMENT", f"It is not JSON: {error}", metadata={"field": field}
        ) from error
    described = {"name": function.name, "description": function.description, "parameters": parameters}
    return {"type": "function", "function": described}
