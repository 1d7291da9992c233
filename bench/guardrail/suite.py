"""What one part of `guardrail_quality.py` gives: figures for programs, a table for people, bars for the plot."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.report import rounded
from rich.table import Table

BETA_SQUARED = 4


@dataclass(frozen=True, slots=True)
class Suite:
    """The outcome of one part. `bars` are what the plot shows: label and value between 0 and 1."""

    figures: Mapping[str, float]
    table: Table
    bars: Sequence[tuple[str, float]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Counts:
    """What was found and missed."""

    true: int = 0
    false: int = 0
    missed: int = 0

    def add(self, other: "Counts") -> None:
        """Count another's as well."""
        self.true += other.true
        self.false += other.false
        self.missed += other.missed

    @property
    def precision(self) -> float:
        """Give the part of the found that is right; 1 when nothing was found."""
        return self.true / found if (found := self.true + self.false) else 1.0

    @property
    def recall(self) -> float:
        """Give the part of the right that was found; 1 when there was nothing to find."""
        return self.true / right if (right := self.true + self.missed) else 1.0

    @property
    def f2(self) -> float:
        """Give the F measure that weighs recall twice as much as precision."""
        whole = (1 + BETA_SQUARED) * self.true + BETA_SQUARED * self.missed + self.false
        return (1 + BETA_SQUARED) * self.true / whole if whole else 1.0

    def row(self) -> list[str]:
        """Write precision, recall, F2 and how many there were."""
        return [f"{value:.3f}" for value in (self.precision, self.recall, self.f2)] + [
            str(self.true + self.missed)
        ]

    def rounded(self) -> dict[str, float]:
        """Give precision, recall and F2 for programs."""
        return {
            "precision": rounded(self.precision),
            "recall": rounded(self.recall),
            "f2": rounded(self.f2),
            "count": self.true + self.missed,
        }


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON Lines, gzipped or not."""
    packed = path.read_bytes()
    content = gzip.decompress(packed) if path.suffix == ".gz" else packed
    return (json.loads(line) for line in content.decode().split("\n") if line.strip())
