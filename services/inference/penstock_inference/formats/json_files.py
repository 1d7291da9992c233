"""Read the JSON files that lie beside a model's weights."""

import json
from pathlib import Path
from typing import Any

from penstock_inference.formats import UnsupportedModelError


class JsonObject(dict[str, Any]):
    """A file's object; asking it for a field that it lacks says which file that is."""

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise UnsupportedModelError(f"{self._path} lacks the field {key!r}")


def read_text(path: Path) -> str:
    """Read a file. Raises UnsupportedModelError if there is none."""
    if not path.exists():
        raise UnsupportedModelError(f"{path} is missing")
    return path.read_text(encoding="utf-8")


def read_object(path: Path, *, missing_ok: bool = False) -> JsonObject:
    """Read a JSON object, or an empty one. Raises UnsupportedModelError."""
    if missing_ok and not path.exists():
        return JsonObject(path, {})
    return parse_object(path, read_text(path))


def parse_object(path: Path, text: str | bytes) -> JsonObject:
    """Parse a JSON object that was found in a file. Raises UnsupportedModelError."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UnsupportedModelError(f"{path} does not hold JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path} does not hold a JSON object")
    return JsonObject(path, value)
