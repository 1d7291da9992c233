"""A line of a log, for people."""

import json

from rich.text import Text

_LEVELS = {
    "debug": "dim",
    "info": "green",
    "warning": "yellow",
    "warn": "yellow",
    "error": "red",
    "critical": "red",
}
_LEFT_OUT = {"timestamp", "time", "level", "event", "msg", "service", "module"}


def readable(line: str) -> Text:
    """Turn a line of JSON into words; leave any other as it is."""
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
    return text
