"""Pairs of near questions, from questions that are labelled with what they ask for."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from penstock_cache.semantic.backdrop import learn_backdrop
from penstock_cache.semantic.calibration import features
from penstock_cache.semantic.guard import failed_rule
from penstock_cache.semantic.room import Near, Room
from penstock_cache.semantic.sketch import sketch
from penstock_inference.engines.loading import load_encoder

from penstock_foundry.cache_guard.regression import Array

Integers = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_TEXTS_PER_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pairs:
    """Each question with those of its nearest neighbours that pass the guard, as the cache would meet them."""

    questions: int
    asked: Integers
    values: Array  # [pairs, features]
    same: Array  # 1 where both ask for the same
    groups: Integers  # of the asked question's label


def read_questions(path: Path) -> tuple[list[str], list[str]]:
    """Read a CSV with the columns text and category."""
    with path.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def make_pairs(
    texts: Sequence[str], labels: Sequence[str], vectors: Vectors, *, with_backdrop: bool
) -> Pairs:
    """Pair each question with its neighbours; with the backdrop of the room, as in a large one, or without."""
    sketches = [sketch(text) for text in texts]
    names = sorted(set(labels))
    asked, values, same = [], [], []
    for place, near in _neighbours(vectors, with_backdrop=with_backdrop):
        other = _place(near.key)
        if not failed_rule(sketches[place], sketches[other]):
            asked.append(place)
            values.append(features(sketches[place], sketches[other], near.distance))
            same.append(labels[place] == labels[other])
    groups = np.array([names.index(labels[place]) for place in asked])
    return Pairs(len(texts), np.array(asked), np.array(values), np.array(same, float), groups)


def embed(texts: Sequence[str], encoder: str, cache_dir: Path) -> Vectors:
    """Embed texts as the inference service does."""
    model = load_encoder(encoder, kind="int8", cache_dir=cache_dir)
    starts = range(0, len(texts), _TEXTS_PER_BATCH)
    return np.concatenate([model.embed(texts[start : start + _TEXTS_PER_BATCH])[0] for start in starts])


def _neighbours(vectors: Vectors, *, with_backdrop: bool) -> Iterator[tuple[int, Near]]:
    """Give what each question would find if it alone were not kept."""
    room = Room(vectors.shape[1])
    for place, vector in enumerate(vectors):
        room.vectors.add(_key(place), vector)
    room.backdrop = learn_backdrop(vectors) if with_backdrop else None
    for place, vector in enumerate(vectors):
        room.vectors.discard(_key(place))
        for near in room.near(vector[None])[0]:
            yield place, near
        room.vectors.add(_key(place), vector)


def _key(place: int) -> bytes:
    return place.to_bytes(4, "big")


def _place(key: bytes) -> int:
    return int.from_bytes(key, "big")
