"""Find calls of tools in what a model writes, as it comes.

A call is written as Hermes, Qwen and SmolLM2 were trained to: `<tool_call>{"name": "f", "arguments": {}}</tool_call>`,
or a list of such objects between the tags. The arguments are passed on as they are written.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_STRING = (
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'  # as RFC 8259 has it: any other is no JSON
)
_HEAD = re.compile(
    rf'\s*(?:\[\s*)?\{{\s*"name"\s*:\s*({_STRING})\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{{)'
)
_TAIL = re.compile(r"\s*\}\s*(?:(,)|\]?\s*" + CLOSE + ")")


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """What is new in one call: its id and name first, then its arguments."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Parsed:
    """What is text for the reader, and what is calls."""

    content: str = ""
    calls: tuple[ToolCallDelta, ...] = ()

    def __add__(self, other: "Parsed") -> "Parsed":
        return Parsed(self.content + other.content, self.calls + other.calls)


class ToolCallParser:
    """Part an answer's text into content and calls. What begins as a call and is none stays content."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._rest = ""  # not yet decided
        self._read: Callable[[], Parsed | None] = self._content
        self._json = _ObjectScanner()
        self.calls = 0

    def feed(self, text: str) -> Parsed:
        """Take the next piece of the answer."""
        self._rest += text
        parsed = Parsed()
        while (part := self._read()) is not None:
            parsed += part
        return parsed

    def finish(self) -> Parsed:
        """Give what is left: no more text will come."""
        rest, self._rest = self._rest, ""
        if self._read == self._head and not self.calls:  # behind a call it is one that was cut off
            return Parsed(OPEN + rest)
        if self._read == self._content:
            return Parsed(rest if rest.strip() or not self.calls else "")
        return Parsed()

    # Each of these reads one part of the rest, or none while it is not clear yet.

    def _content(self) -> Parsed | None:
        before, tag, after = self._rest.partition(OPEN)
        if tag:
            self._rest, self._read = after, self._head
            return Parsed(before.rstrip() if before.strip() else "")
        kept = _undecided(self._rest)
        if kept == len(self._rest):
            return None
        content, self._rest = self._rest[: len(self._rest) - kept], self._rest[len(self._rest) - kept :]
        return Parsed(content)

    def _head(self) -> Parsed | None:
        head = _HEAD.match(self._rest)
        if head:
            self._rest, self._read = self._rest[head.end() :], self._arguments
            return Parsed(calls=(self._begin(json.loads(head[1])),))
        body, tag, after = self._rest.partition(CLOSE)
        if not tag:
            return None
        self._rest, self._read = after, self._content
        return self._whole(body)

    def _arguments(self) -> Parsed | None:
        if not self._rest:
            return None
        end = self._json.end_of_object(self._rest)
        if end is not None:
            self._read = self._tail
        arguments, self._rest = self._rest[:end], "" if end is None else self._rest[end:]
        return Parsed(calls=(ToolCallDelta(self.calls - 1, arguments=arguments),))

    def _tail(self) -> Parsed | None:
        tail = _TAIL.match(self._rest)
        if tail is not None:
            self._rest, self._read = self._rest[tail.end() :], self._head if tail[1] else self._content
            return Parsed()
        _, tag, after = self._rest.partition(CLOSE)
        if not tag:
            return None
        self._rest, self._read = after, self._content
        return Parsed()

    def _whole(self, body: str) -> Parsed:
        """Read a call whose members come in another order."""
        try:
            calls = json.loads(body)
            calls = calls if isinstance(calls, list) else [calls]
            named = [(_name(call), _arguments(call)) for call in calls]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Parsed(OPEN + body + CLOSE)
        deltas: list[ToolCallDelta] = []
        for name, arguments in named:
            deltas.append(self._begin(name))
            deltas.append(ToolCallDelta(self.calls - 1, arguments=arguments))
        return Parsed(calls=tuple(deltas))

    def _begin(self, name: str) -> ToolCallDelta:
        self.calls += 1
        return ToolCallDelta(self.calls - 1, self._new_id(), _unicode(name))


class _ObjectScanner:
    """Find where a JSON object ends, however it is cut into pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False

    def end_of_object(self, text: str) -> int | None:
        """Take the next piece; give the place behind the object's last brace, which makes ready for another."""
        for place, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped = character == "\\"
                self._in_string = character != '"'
            elif character == '"':
                self._in_string = True
            elif character in "{}":
                self._depth += 1 if character == "{" else -1
                if not self._depth:
                    return place + 1
        return None


def _undecided(text: str) -> int:
    """Measure the end of a text that may be the blanks before a tag, and the beginning of it."""
    for length in range(min(len(OPEN) - 1, len(text)), 0, -1):
        if text.endswith(OPEN[:length]):
            return len(text) - len(text[: len(text) - length].rstrip())
    return len(text) - len(text.rstrip())


def _name(call: dict[str, Any]) -> str:
    if not isinstance(call["name"], str):
        raise TypeError
    return call["name"]


def _arguments(call: dict[str, Any]) -> str:
    arguments = call.get("arguments", call.get("parameters", {}))
    return _unicode(arguments) if isinstance(arguments, str) else json.dumps(arguments)


def _unicode(text: str) -> str:
    """Replace halves of surrogate pairs: JSON can escape one alone, UTF-8 cannot write it."""
    return text.encode(errors="replace").decode()
