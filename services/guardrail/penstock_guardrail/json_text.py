"""Where a part of a JSON object stands (a tool's arguments, for example): what is put in its place leaves it JSON.

A text that begins with `{` is taken for one, which its first character tells however it comes in parts.
"""

import json
import re
from enum import Enum, auto

_QUOTE_OR_ESCAPE = re.compile(r'\\(?:.|\Z)|"', re.DOTALL)
_OBJECT = "{"


class Place(Enum):
    """Where a part of a text begins."""

    TEXT = auto()
    OBJECT = auto()
    STRING = auto()

    def read(self, part: str) -> str:
        """Give what a part says."""
        if self is not Place.STRING or "\\" not in part:
            return part
        try:
            said = json.loads(f'"{part}"', strict=False)
        except ValueError:
            return part
        return str(said)

    def write(self, value: str) -> str:
        """Write a value so that it says the same there."""
        match self:
            case Place.TEXT:
                return value
            case Place.OBJECT:
                return json.dumps(value, ensure_ascii=False)
            case Place.STRING:
                return json.dumps(value, ensure_ascii=False)[1:-1]


class JsonText:
    """A text as its parts come by."""

    def __init__(self) -> None:
        self._is_object: bool | None = None
        self._in_string = False
        self._is_escaping = False

    def place(self, part: str) -> Place:
        """Take the next part and tell where it begins. O(len(part))."""
        if self._is_object is None and (begun := part.lstrip()):
            self._is_object = begun.startswith(_OBJECT)
        if not self._is_object or not part:
            return Place.TEXT
        place, found = Place.STRING if self._in_string else Place.OBJECT, None
        for found in _QUOTE_OR_ESCAPE.finditer(part, int(self._is_escaping)):
            self._in_string ^= found[0] == '"'
        self._is_escaping = found is not None and found[0] == "\\"
        return place
