"""Read what files say about a model: named fields, of which none can be trusted to be there or of its type."""

import json
import math
from pathlib import Path
from typing import Any

from penstock_inference.formats import UnsupportedModelError


class Fields(dict[str, Any]):
    """A file's fields; asking for one that it lacks, or that is not what it must be, says which file that is."""

    def __init__(self, source: Path, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.source = source

    def __missing__(self, key: str) -> Any:
        raise UnsupportedModelError(f"{self.source} lacks the field {key!r}")

    def integer(self, key: str, *default: int) -> int:
        """Give a whole number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "a whole number")
        return value

    def number(self, key: str, *default: float) -> float:
        """Give a finite number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, value, "a number")
        return float(value)

    def text(self, key: str, *default: str) -> str:
        """Give a text."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def fields_of(self, key: str) -> "Fields":
        """Give the fields of an object within; those of none if it is absent or null."""
        value = self.get(key) or {}
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return Fields(self.source, value)

    def items_of(self, key: str, kind: type) -> list[Any]:
        """Give a list whose items are all of a type."""
        value = self[key]
        if not isinstance(value, list) or not all(type(item) is kind for item in value):
            raise self._wrong(key, value, f"a list of {kind.__name__}")
        return value

    def _value(self, key: str, default: tuple[Any, ...]) -> Any:
        value = self.get(key)
        if value is None:
            return default[0] if default else self[key]
        return value

    def _wrong(self, key: str, value: Any, wanted: str) -> UnsupportedModelError:
        return UnsupportedModelError(f"{self.source}: the field {key!r} is {str(value)[:40]!r}, not {wanted}")


def read_text(path: Path) -> str:
    """Read a file. Raises UnsupportedModelError if there is none."""
    if not path.exists():
        raise UnsupportedModelError(f"{path} is missing")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnsupportedModelError(f"{path} does not hold text: {error}") from error


def read_fields(path: Path, *, missing_ok: bool = False) -> Fields:
    """Read a JSON object, or an empty one. Raises UnsupportedModelError."""
    if missing_ok and not path.exists():
        return Fields(path, {})
    return parse_fields(path, read_text(path))


def parse_fields(path: Path, text: str | bytes) -> Fields:
    """Parse a JSON object that was found in a file. Raises UnsupportedModelError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path} does not hold JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path} does not hold a JSON object")
    return Fields(path, value)
