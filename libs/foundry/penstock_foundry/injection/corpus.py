"""Examples: texts with a label, where they come from, and which of them must not be parted."""

import csv
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_foundry.injection.phrasebook import Phrasebook

# Sources that are made here.
JOINED, DOCUMENTS, GRAMMAR = "joined", "documents", "grammar-"

_EXCERPT_CHARACTERS = (150, 400, 1000, 2000, 4000)


@dataclass(frozen=True, slots=True)
class Example:
    """A text; `attack` says what it is, `group` what it is a copy or a filled template of."""

    text: str
    attack: bool
    source: str
    group: str = ""


def read(path: Path, *, attack: bool | None = None) -> Iterator[Example]:
    """Read JSON Lines or CSV with a `text` and, unless `attack` says it for all, a `label` (1: an attack).

    Raises:
        ValueError: a row has no text, or no label where it needs one.
    """
    for number, row in enumerate(_rows(path), 1):
        text, label = row.get("text"), row.get("label") if attack is None else attack
        if not isinstance(text, str) or label not in {0, 1}:
            raise ValueError(f"{path}, row {number}: no text, or no label of 0 or 1")
        yield Example(text, bool(label), path.stem)


def sampled(examples: Iterable[Example], size: int, seed: int) -> Sequence[Example]:
    """Take so many at random, the same ones every time."""
    found = list(examples)
    return random.Random(seed).sample(found, min(size, len(found)))  # noqa: S311


def generated(seed: int, attacks_each: int, benign_each: int) -> Iterator[Example]:
    """Make texts from our own grammars."""
    rng = random.Random(seed)  # noqa: S311 - a corpus is to be the same every time
    for name, attack, each in (("attacks", True, attacks_each), ("benign", False, benign_each)):
        for phrase in Phrasebook(name).phrases(rng, each):
            yield Example(phrase.text, attack, f"{GRAMMAR}{name}", f"{name}/{phrase.template}")


def joined(examples: Sequence[Example], count: int, seed: int) -> Iterator[Example]:
    """Join harmless talk to long texts: length is no sign of an attack."""
    rng = random.Random(seed)  # noqa: S311
    harmless = [example.text for example in examples if not example.attack]
    for _ in range(count if harmless else 0):
        size = min(rng.randint(8, 60), len(harmless))
        yield Example(rng.choice("\n ").join(rng.sample(harmless, size)), attack=False, source=JOINED)


def excerpts(paths: Iterable[Path], count: int, seed: int) -> Iterator[Example]:
    """Take parts of text files, as many of each kind (suffix) as of any other; the parts of a file are one group."""
    rng = random.Random(seed)  # noqa: S311
    texts = {path: path.read_text("utf-8", "replace") for path in sorted(paths)}
    kinds = sorted({path.suffix for path in texts})
    for number in range(count if kinds else 0):
        own = [path for path in texts if path.suffix == kinds[number % len(kinds)]]
        (path,) = rng.choices(own, [math.sqrt(len(texts[each])) for each in own])
        size = rng.choice(_EXCERPT_CHARACTERS)
        start = rng.randrange(max(1, len(texts[path]) - size))
        group = f"file-{path.parent.name}-{path.name}"
        yield Example(texts[path][start : start + size], attack=False, source=DOCUMENTS, group=group)


def _rows(path: Path) -> Iterable[dict[str, object]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            yield from csv.DictReader(file)
        else:
            yield from map(json.loads, file)


def distinct(examples: Iterable[Example]) -> Sequence[Example]:
    """Leave out texts that stand there already."""
    return list({example.text: example for example in examples}.values())
