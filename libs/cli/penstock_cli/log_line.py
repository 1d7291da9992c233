"""A line of a log, for people."""

import json
from typing import Any

from rich.text import Text

FRAMES_SHOWN = 6

_LEVELS = {
    "debug": "dim",
    "info": "green",
    "warning": "yellow",
    "warn": "yellow",
    "error": "red",
    "critical": "red",
}
_LEFT_OUT = {"timestamp", "time", "level", "event", "msg", "service", "module", "exception"}


def readable(line: str) -> Text:
    """Turn a line of JSON into words, with the stack of an exception below; leave any other line as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        return Text(line)
    if not isinstance(event, dict):
        return Text(line)
    level = str(event.get("level", "")).lower()
    text = Text(str(event.get("timestamp") or event.get("time") or "")[11:23], "dim")
    text.append(f" {level:<7} ", _LEVELS.get(level, ""))
    text.append(str(event.get("event") or event.get("msg") or ""), "bold")
    for name, value in event.items():
        if name not in _LEFT_OUT:
            text.append(f" {name}=", "dim").append(value if isinstance(value, str) else json.dumps(value))
    return text.append_text(_stack(event.get("exception")))


def _stack(exception: Any) -> Text:
    """Write what was raised and the innermost frames, as structlog's dictionaries have them."""
    if not isinstance(exception, list):
        return Text(f" exception={exception}" if exception else "")
    text = Text()
    for raised in exception:
        text.append(f"\n    {raised.get('exc_type')}: {raised.get('exc_value')}", "red")
        for frame in raised.get("frames", [])[-FRAMES_SHOWN:]:
            text.append(f"\n      {frame['filename']}:{frame['lineno']} in {frame['name']}", "dim")
    return text
