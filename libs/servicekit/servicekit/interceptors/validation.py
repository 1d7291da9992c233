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
        violations = [Violation(_field(violation), violation.proto.message) for violation in found]
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:4])
        raise InvalidArgument(
            "INVALID_ARGUMENT", text, metadata={"field": violations[0].field}, violations=violations
        )


async def validated(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Validate each message of a stream as it is read."""
    async for message in messages:
        validate(message)
        yield message


def _field(violation: protovalidate.Violation) -> str:
    """Name the field at fault. A rule between fields has the id of the one that breaks it."""
    path, rule = _path(violation.proto.field), violation.proto.rule_id
    whole = violation.field_value
    return (
        f"{path}.{rule}" if isinstance(whole, Message) and rule in whole.DESCRIPTOR.fields_by_name else path
    )


def _path(field: Any) -> str:
    """Write a field path as callers do: `items[0].operation_id`."""
    elements = field.elements if field is not None else ()
    return ".".join(
        f"{element.field_name}[{element.subscript.value}]" if element.subscript else element.field_name
        for element in elements
    )
