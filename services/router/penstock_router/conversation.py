"""A conversation as texts: taken out for the guardrail, put back redacted, and hashed for the cache. Pure."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from penstock.cache.v1 import cache_entry_pb2
from penstock.guardrail.v1 import finding_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2
from servicekit.errors import InvalidArgument

Parameters = chat_completion_pb2.ChatCompletionParameters
Message = chat_message_pb2.ChatMessage

ROLE_NAMES = {
    chat_message_pb2.CHAT_ROLE_SYSTEM: "system",
    chat_message_pb2.CHAT_ROLE_DEVELOPER: "developer",
    chat_message_pb2.CHAT_ROLE_USER: "user",
    chat_message_pb2.CHAT_ROLE_ASSISTANT: "assistant",
    chat_message_pb2.CHAT_ROLE_TOOL: "tool",
}
QUERY_BYTES_MAX = 65_536
SEGMENT_BYTES_MAX = 4_194_304
# Who speaks, what, and the way to replace it.
Text = tuple[str, str, Callable[[str], None]]
_INSTRUCTIONS = (chat_message_pb2.CHAT_ROLE_SYSTEM, chat_message_pb2.CHAT_ROLE_DEVELOPER)

# Fields that say how to deliver an answer or for whom, not what it is.
_NOT_CONDITIONS = ("model", "messages", "stream_options", "user", "metadata", "cache_control", "priority")


def segments(messages: Sequence[Message]) -> list[finding_pb2.Segment]:
    """Take out every text of a conversation, in a fixed order.

    Raises:
        InvalidArgument: one is larger than the guardrail inspects.
    """
    return [segment(text, role) for role, text, _ in _texts(messages)]


def asked_segments(parameters: Parameters) -> list[finding_pb2.Segment]:
    """Take out every text of a request that a model reads: what tools and formats say comes after the conversation.

    Raises:
        InvalidArgument: one is larger than the guardrail inspects.
    """
    return [segment(text, role) for role, text, _ in _asked_texts(parameters)]


def segment(text: str, role: str) -> finding_pb2.Segment:
    """Make a text ready for inspection.

    Raises:
        InvalidArgument: it is larger than the guardrail inspects.
    """
    if len(text) > SEGMENT_BYTES_MAX // 4 and len(text.encode()) > SEGMENT_BYTES_MAX:
        raise InvalidArgument(
            "INVALID_ARGUMENT",
            f"One text of the request is larger than {SEGMENT_BYTES_MAX} bytes.",
            metadata={"field": "messages"},
        )
    return finding_pb2.Segment(text=text, role=role)


def redact(parameters: Parameters, redactions: Sequence[finding_pb2.Redaction]) -> Parameters:
    """Give the parameters with redacted texts; the same object when there are none.

    Raises:
        InvalidArgument: a pattern for the answer would have to be redacted.
    """
    if not redactions:
        return parameters
    redacted = Parameters()
    redacted.CopyFrom(parameters)
    _put(redactions, _asked_texts(redacted))
    return redacted


def apply(messages: Sequence[Message], redactions: Sequence[finding_pb2.Redaction]) -> None:
    """Put redacted texts where `segments` took them out."""
    _put(redactions, _texts(messages))


def has_media(messages: Sequence[Message]) -> bool:
    """Tell whether any content is more than text."""
    return any(part.WhichOneof("part") not in ("text", "refusal") for m in messages for part in m.parts.parts)


def text_bytes(messages: Sequence[Message]) -> int:
    """Count the bytes of all texts; no tokenizer makes more tokens than there are bytes."""
    return sum(len(text.encode()) for _, text, _ in _texts(messages))


@dataclass(frozen=True, slots=True)
class Question:
    """What the cache is asked: a room, and the conversation in it."""

    partition: cache_entry_pb2.Partition
    conversation_digest: bytes
    history_digest: bytes
    query_text: str


def question(parameters: Parameters, partition: cache_entry_pb2.Partition, *, semantic: bool) -> Question:
    """Make the cache's question of a conversation whose texts are redacted already.

    `partition` comes with the fields that say who asks; what shapes the answer is filled in here. A question that is
    not `semantic` has no text to be found by.
    """
    partition.model = parameters.model
    partition.operation = "chat"
    partition.conditions_digest = _conditions_digest(parameters)
    partition.instructions_digest = _digest(m for m in parameters.messages if m.role in _INSTRUCTIONS)
    return Question(
        partition=partition,
        conversation_digest=_digest(parameters.messages),
        history_digest=_digest(parameters.messages[:-1]),
        query_text=_query_text(parameters.messages[-1]) if semantic else "",
    )


def _query_text(last: Message) -> str:
    """Give what is asked, unless it is too long to be matched by meaning."""
    if last.role != chat_message_pb2.CHAT_ROLE_USER or len(last.text.encode()) > QUERY_BYTES_MAX:
        return ""
    return last.text


def _conditions_digest(parameters: Parameters) -> bytes:
    conditions = Parameters()
    conditions.CopyFrom(parameters)
    for name in _NOT_CONDITIONS:
        conditions.ClearField(name)
    return hashlib.sha256(conditions.SerializeToString(deterministic=True)).digest()


def _digest(messages: "Sequence[Message] | Iterator[Message]") -> bytes:
    digest = hashlib.sha256()
    for message in messages:
        serialized = message.SerializeToString(deterministic=True)
        digest.update(len(serialized).to_bytes(4, "big"))
        digest.update(serialized)
    return digest.digest()


def _put(redactions: Sequence[finding_pb2.Redaction], texts: Iterable[Text]) -> None:
    replace = [put for _, _, put in texts]
    for redaction in redactions:
        replace[redaction.segment_index](redaction.text)


def _asked_texts(parameters: Parameters) -> Iterator[Text]:
    """Walk every text of a request. Who defines tools and formats is the developer."""
    yield from _texts(parameters.messages)
    form = parameters.response_format
    for role, owner, fields in (
        *(("developer", tool.function, ("description", "parameters_json")) for tool in parameters.tools),
        ("developer", form.json_schema, ("description", "schema_json")),
    ):
        yield from _filled(role, owner, fields)
    for texts in (form.choice.choices, parameters.stop):
        for position, text in enumerate(texts):
            yield "developer", text, partial(texts.__setitem__, position)
    for field in ("regex", "grammar"):
        if text := getattr(form, field):
            yield "developer", text, partial(_refuse_redaction, field)


def _refuse_redaction(field: str, _redacted: str) -> None:
    """Refuse what a token in brackets would make another pattern of."""
    raise InvalidArgument(
        "INVALID_ARGUMENT",
        f"The {field} holds data that would have to be redacted, and would be another {field} then.",
        metadata={"field": f"parameters.response_format.{field}"},
    )


def _texts(messages: Sequence[Message]) -> Iterator[Text]:
    """Walk every text of a conversation. Media are no texts."""
    for message in messages:
        role = ROLE_NAMES[message.role]
        if message.HasField("text"):
            yield role, message.text, partial(setattr, message, "text")
        for part in message.parts.parts:
            yield from _filled(role, part, ("text", "refusal"))
        yield from _filled(role, message, ("refusal", "name"))
        for call in message.tool_calls:
            yield role, call.function.arguments, partial(setattr, call.function, "arguments")


def _filled(role: str, owner: object, fields: Sequence[str]) -> Iterator[Text]:
    for field in fields:
        if text := getattr(owner, field):
            yield role, text, partial(setattr, owner, field)
