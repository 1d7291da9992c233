"""What is learnt from: labelled texts, and plain ones without names."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_WORDING_CHARACTERS_MAX = 60

Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its spans. Texts of one group have the same wording."""

    text: str
    spans: Sequence[Span]
    group: str


def read_labelled(path: Path) -> Iterator[Example]:
    """Read labelled texts; their group is what remains without the values."""
    for line in path.read_text().splitlines():
        row = json.loads(line)
        spans = [(each["start"], each["end"], each["type"]) for each in row["spans"]]
        yield Example(row["text"], spans, _wording(row["text"], spans))


def read_plain(path: Path) -> list[Example]:
    """Read texts that hold no names: the lines of a table, or the paragraphs of a text."""
    text = path.read_text()
    parts = text.splitlines() if path.suffix == ".csv" else text.split("\n\n")
    return [Example(part, (), "plain") for part in parts]


def lowered(examples: Sequence[Example]) -> list[Example]:
    """Write those in small letters whose places stay the same."""
    return [
        Example(each.text.lower(), each.spans, each.group)
        for each in examples
        if len(each.text.lower()) == len(each.text)
    ]


def _wording(text: str, spans: Sequence[Span]) -> str:
    last, parts = 0, []
    for start, end, kind in sorted(spans):
        parts += [text[last:start], f"<{kind}>"]
        last = end
    return re.sub(r"\W+", " ", "".join([*parts, text[last:]]).lower())[:_WORDING_CHARACTERS_MAX]
