"""Forms that an answer can be held to: JSON, of a schema or not, a pattern, a grammar, a choice, calls of tools."""

import enum
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TOOL_CALLS_MAX = 16  # in one turn

_GBNF_START = re.compile(r"^\s*root\s*::=", re.MULTILINE)  # the rule that every grammar of llama.cpp has

# Room to indent, but not to write blanks for ever, as small models like to.
_GUIDANCE = {"x-guidance": {"whitespace_pattern": " |\\n {0,16}"}}


class Notation(enum.Enum):
    """In what a form is written."""

    JSON_SCHEMA = "JSON Schema"
    REGEX = "a regular expression"
    LARK = "a Lark grammar"
    GBNF = "a GBNF grammar"


@dataclass(frozen=True, slots=True)
class Form:
    """What every answer to a request has to look like."""

    notation: Notation
    text: str


def json_object() -> Form:
    """Any JSON object."""
    return json_schema({"type": "object"})


def json_schema(schema: Any) -> Form:
    """JSON of a schema, which is an object or a truth value."""
    return Form(Notation.JSON_SCHEMA, json.dumps(_guided(schema)))


def regex(pattern: str) -> Form:
    """Text that a regular expression matches as a whole."""
    return Form(Notation.REGEX, pattern)


def grammar(text: str) -> Form:
    """Text of a grammar, in Lark's notation or in llama.cpp's."""
    return Form(Notation.GBNF if _GBNF_START.search(text) else Notation.LARK, text)


def choice(texts: Sequence[str]) -> Form:
    """One of these texts."""
    return Form(Notation.LARK, "start: " + " | ".join(map(json.dumps, texts)))


def tool_calls(functions: Sequence[dict[str, Any]], *, several: bool) -> Form:
    """At least one call of these functions, each a name and the schema of its parameters, as tool_calls.py reads it."""
    calls = f"call{{1,{TOOL_CALLS_MAX}}}" if several else "call"
    rules = [f"start: {calls}", 'call: "<tool_call>\\n" body "\\n</tool_call>" "\\n"?']
    rules.append("body: " + " | ".join(f"body_{place}" for place in range(len(functions))))
    rules += [
        f"body_{place}: %json {json.dumps(_guided(_call_schema(function)))}"
        for place, function in enumerate(functions)
    ]
    return Form(Notation.LARK, "\n".join(rules))


def _call_schema(function: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(function["parameters"] or {"type": "object"})
    shared = {name: parameters.pop(name) for name in ("$defs", "definitions") if name in parameters}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
        **shared,  # references name them from the top
    }


def _guided(schema: Any) -> Any:
    return {**schema, **_GUIDANCE} if isinstance(schema, dict) else schema
