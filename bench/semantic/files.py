"""What is read: labelled questions, and pairs of questions that ask the same or not."""

import csv
from dataclasses import dataclass
from pathlib import Path

_DIFFERENT = {"different", "1"}


@dataclass(frozen=True, slots=True)
class Questions:
    """Texts and what they ask for."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two texts each, whether they ask the same, and in what they differ if the file says so."""

    name: str
    kept: list[str]
    asked: list[str]
    same: list[bool]
    kinds: list[str]


def read_questions(path: Path, most: int | None = None) -> Questions:
    """Read a CSV with a header: a text and its label. Of more than `most` rows, evenly spread ones are taken."""
    with path.open(newline="", encoding="utf-8") as opened:
        rows = [row for row in list(csv.reader(opened))[1:] if row]
    if most and len(rows) > most:
        rows = [rows[place * len(rows) // most] for place in range(most)]
    return Questions([row[0] for row in rows], [row[1] for row in rows])


def read_pairs(path: Path) -> Pairs:
    """Read a TSV with a header: two texts, and if there are more columns, a label and a kind.

    The label is "same" or "different", or 0 (same) or 1 (opposite). Without one, every pair differs in meaning.
    """
    with path.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    rows = [row for row in rows if row]
    return Pairs(
        name=path.stem,
        kept=[row[0] for row in rows],
        asked=[row[1] for row in rows],
        same=[len(row) > 2 and row[2] not in _DIFFERENT for row in rows],
        kinds=[row[3] if len(row) > 3 else "" for row in rows],
    )
