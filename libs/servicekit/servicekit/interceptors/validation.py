"""Enforce the rules of the contracts (buf.validate) on every incoming message."""

from collections.abc import AsyncIterator
from typing import Any

import protovalidate
from google.protobuf.message import Message

from servicekit.errors import InvalidArgument, Violation


def validate(message: Message) -> None:
    """Raise InvalidArgument that names each field at fault."""
    found = protovalidate.collect_violations(message)
    if found:
        violations = [Violation(_path(violation.proto.field), violation.proto.message) for violation in found]
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:4])
        raise InvalidArgument(
            "INVALID_ARGUMENT", text, metadata={"field": violations[0].field}, violations=violations
        )


async def validated(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Validate each message of a stream as it is read."""
    async for message in messages:
        validate(message)
        yield message


def _path(field: Any) -> str:
    """Write a field path as callers do: `items[0].operation_id`."""
    elements = field.elements if field is not None else ()
    return ".".join(
        f"{element.field_name}[{element.subscript.value}]" if element.subscript else element.field_name
        for element in elements
    )
