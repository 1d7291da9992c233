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
    """Two texts each, and whether they ask the same."""

    name: str
    kept: list[str]
    asked: list[str]
    same: list[bool]
    are_paraphrases: bool  # what is the same is said in other words, and not as the negation of an opposite


def read_questions(path: Path, most: int | None = None) -> Questions:
    """Read a CSV with a header: a text and its label. Of more than `most` rows, evenly spread ones are taken."""
    with path.open(newline="", encoding="utf-8") as opened:
        rows = [row for row in list(csv.reader(opened))[1:] if row]
    if most and len(rows) > most:
        rows = [rows[place * len(rows) // most] for place in range(most)]
    return Questions([row[0] for row in rows], [row[1] for row in rows])


def read_pairs(path: Path) -> Pairs:
    """Read a TSV with a header: two texts, and if there are more columns, a label first.

    The label is "same" or "different", or 0 (the same, said by negating an opposite) or 1 (opposite). Without one,
    every pair differs in meaning.
    """
    with path.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    rows = [row for row in rows if row]
    return Pairs(
        name=path.stem,
        kept=[row[0] for row in rows],
        asked=[row[1] for row in rows],
        same=[len(row) > 2 and row[2] not in _DIFFERENT for row in rows],
        are_paraphrases=any(len(row) > 2 and row[2] == "same" for row in rows),
    )
