"""Train the model of names: `python services/guardrail/training/names.py --pii FILE --plain FILE… --output names.npz`.

It learns from labelled texts (`--pii`, JSON Lines of text and spans), from the sentences of `sentences.txt` with
invented names in them (Faker, `--invented` of them), and from plain texts that hold no names. `--folds` tells instead
how well that does on sentences whose wording it has not seen.
"""

# ruff: noqa: INP001, T201, S311, PLR2004 - a script for people, its chances are no secrets

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faker import Faker
from penstock_guardrail.canonical import view_of
from penstock_guardrail.tagger import LABELS, Weights
from penstock_guardrail.tokens import ROWS_BITS, Ints, rows_of, tokens_of

LOCALES = (
    *(
        "en_US",
        "en_GB",
        "en_AU",
        "en_CA",
        "en_IN",
        "en_NZ",
        "de_DE",
        "de_AT",
        "fr_FR",
        "fr_CH",
        "it_IT",
        "es_ES",
        "es_MX",
    ),
    *(
        "pt_BR",
        "pt_PT",
        "nl_NL",
        "da_DK",
        "sv_SE",
        "no_NO",
        "fi_FI",
        "pl_PL",
        "cs_CZ",
        "hu_HU",
        "ro_RO",
        "hr_HR",
        "sl_SI",
    ),
    *("tr_TR", "et_EE", "lt_LT", "zu_ZA"),
)
OF = {
    **dict.fromkeys(("PERSON",), 1),
    **dict.fromkeys(("LOCATION", "ADDRESS", "GPE", "STREET_ADDRESS", "ZIP_CODE"), 2),
    **dict.fromkeys(("ORGANIZATION",), 3),
    **dict.fromkeys(("TITLE", "PREFIX"), 4),
}
PREFIXES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Miss", "Prof.", "Mr", "Mrs")
TYPES = {
    **dict.fromkeys(("person", "first", "last"), "PERSON"),
    **dict.fromkeys(("city", "country", "address"), "LOCATION"),
    "company": "ORGANIZATION",
    **dict.fromkeys(("job", "prefix"), "TITLE"),
}
NOT_LEARNT = -1
COMMON_TIMES_MIN = 3
EPOCHS, BATCH, RATE, DECAY = 8, 512, 0.15, 2e-6
WORD_FEATURES = (0, 4, 7, 9)
DROPPED, DROPPED_WORDS = 0.08, 0.35
_SLOT = re.compile(r"\{(\w+)\}")

Span = tuple[int, int, str]


@dataclass(frozen=True)
class Example:
    """A text and its spans. Texts of one group have the same wording."""

    text: str
    spans: Sequence[Span]
    group: str


@dataclass(frozen=True)
class Matrix:
    """What is learnt from: rows by features and tokens, and a label for each token."""

    rows: Ints
    labels: npt.NDArray[np.int64]


def read_labelled(path: Path) -> Iterator[Example]:
    """Read labelled texts; their group is what remains without the values."""
    for line in path.read_text().splitlines():
        row = json.loads(line)
        spans = [(each["start"], each["end"], each["type"]) for each in row["spans"]]
        yield Example(row["text"], spans, _wording(row["text"], spans))


def _wording(text: str, spans: Sequence[Span]) -> str:
    last, parts = 0, []
    for start, end, kind in sorted(spans):
        parts += [text[last:start], f"<{kind}>"]
        last = end
    return re.sub(r"\W+", " ", "".join([*parts, text[last:]]).lower())[:60]


class Inventor:
    """Make sentences with names that nobody has."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._fakers = []
        for position, locale in enumerate(LOCALES):
            faker = Faker(locale)
            faker.seed_instance(seed + position)
            self._fakers.append(faker)

    def filled(self, template: str) -> Example:
        """Fill the slots of a template: {person} {first} {last} {city} {country} {address} {company} {job} {prefix}."""
        text, spans, last = "", [], 0
        for slot in _SLOT.finditer(template):
            text += template[last : slot.start()]
            value, kind = self._value(slot[1])
            spans.append((len(text), len(text) + len(value), kind))
            text += value
            last = slot.end()
        text += template[last:]
        if self._random.random() < 0.12:
            text = text.lower() if len(text.lower()) == len(text) else text
        return Example(text, spans, template)

    def _value(self, slot: str) -> tuple[str, str]:
        faker, draw = self._random.choice(self._fakers), self._random.random()
        invent = {
            "person": lambda: f"{faker.first_name()} {faker.last_name()}" if draw < 0.8 else faker.name(),
            "first": faker.first_name,
            "last": faker.last_name,
            "city": lambda: faker.city().upper() if draw < 0.1 else faker.city(),
            "country": self._fakers[0].country,
            "address": lambda: self._address(faker, draw),
            "company": faker.company,
            "job": self._fakers[0].job,
            "prefix": lambda: self._random.choice(PREFIXES),
        }
        return str(invent[slot]()), TYPES[slot]

    def _address(self, faker: Faker, draw: float) -> str:
        street = faker.street_address().replace("\n", ", ")
        if draw < 0.3:
            return street
        tail = f"{faker.city()} {faker.postcode()}"
        separator = self._random.choice((", ", "\n", " "))
        return (
            f"{street}{separator}{tail}"
            if draw < 0.7
            else f"{street}{separator}{tail}{separator}{self._fakers[0].country()}"
        )


def matrix_of(examples: Sequence[Example], is_common: npt.NDArray[np.bool_] | None) -> Matrix:
    """Describe all tokens that are scored."""
    rows, labels = [], []
    for example in examples:
        view = view_of(example.text)
        tokens = tokens_of(view.characters)
        if not len(tokens):
            continue
        truth = _truth(
            example, [view.starts[at] for at in tokens.starts], [view.ends[at - 1] for at in tokens.ends]
        )
        kept = truth != NOT_LEARNT
        if is_common is not None:
            kept &= ~tokens.is_long & ~tokens.is_sign
            kept &= ~(tokens.is_lower & is_common[tokens.word_rows()])
        chosen = np.flatnonzero(kept)
        rows.append(rows_of(tokens, chosen))
        labels.append(truth[chosen])
    return Matrix(np.concatenate(rows, axis=1), np.concatenate(labels))


def _truth(example: Example, starts: Sequence[int], ends: Sequence[int]) -> npt.NDArray[np.int64]:
    truth = np.zeros(len(starts), np.int64)
    for first, last, kind in example.spans:
        for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if start < last and end > first:
                truth[at] = OF.get(kind, NOT_LEARNT)
    return truth


def common_words(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Find the words that are, in small letters, never names."""
    times: Counter[int] = Counter()
    named: Counter[int] = Counter()
    for example in examples:
        view = view_of(example.text)
        tokens = tokens_of(view.characters)
        truth = _truth(
            example, [view.starts[at] for at in tokens.starts], [view.ends[at - 1] for at in tokens.ends]
        )
        for row, label, lower in zip(
            tokens.word_rows().tolist(), truth.tolist(), tokens.is_lower.tolist(), strict=True
        ):
            (named if label > 0 else times)[row] += lower
    is_common = np.zeros(1 << ROWS_BITS, np.bool_)
    is_common[
        [row for row, count in times.items() if count >= COMMON_TIMES_MIN and named[row] * 10 < count]
    ] = True
    return is_common


def trained(matrix: Matrix, seed: int = 0) -> npt.NDArray[np.float32]:
    """Fit by Adagrad on the cross entropy; features, above all words, are dropped at random."""
    rng = np.random.default_rng(seed)
    features, count = matrix.rows.shape
    classes = len(LABELS) - 1
    scores = np.zeros((1 << ROWS_BITS, classes), np.float32)
    squares = np.full_like(scores, 0.1)
    keep = np.full(features, 1 - DROPPED)
    keep[list(WORD_FEATURES)] = 1 - DROPPED_WORDS
    for _ in range(EPOCHS):
        order = rng.permutation(count)
        for first in range(0, count, BATCH):
            batch = order[first : first + BATCH]
            rows, labels = matrix.rows[:, batch], matrix.labels[batch]
            kept = (rng.random(rows.shape) < keep[:, None]).astype(np.float32)
            sums = (scores[rows] * kept[..., None]).sum(axis=0)
            odds = np.exp(np.minimum(sums, 30))
            gradient = odds / (1 + odds.sum(axis=1, keepdims=True))
            named = labels > 0
            gradient[named, labels[named] - 1] -= 1
            update = (kept[..., None] * gradient[None]).reshape(-1, classes)
            flat = rows.reshape(-1)
            unique, inverse = np.unique(flat, return_inverse=True)
            summed = np.zeros((len(unique), classes), np.float32)
            np.add.at(summed, inverse, update)
            summed += DECAY * len(batch) * scores[unique]
            squares[unique] += summed**2
            scores[unique] -= RATE * summed / np.sqrt(squares[unique])
    return scores


def gather(arguments: argparse.Namespace, labelled: Sequence[Example], seed: int) -> list[Example]:
    """Put together what is learnt from."""
    inventor = Inventor(seed)
    templates = (Path(__file__).with_name("sentences.txt")).read_text().split("\n%\n")
    chooser = random.Random(seed)
    invented = [inventor.filled(chooser.choice(templates).strip("\n")) for _ in range(arguments.invented)]
    plain = [Example(text, (), "plain") for path in arguments.plain for text in _plain(path)]
    lowered = [
        Example(each.text.lower(), each.spans, each.group)
        for each in labelled
        if len(each.text.lower()) == len(each.text)
    ]
    return [*labelled, *chooser.sample(lowered, len(lowered) // 8), *invented, *plain]


def _plain(path: Path) -> list[str]:
    text = path.read_text()
    return text.splitlines() if path.suffix == ".csv" else text.split("\n\n")


def folds(arguments: argparse.Namespace, labelled: Sequence[Example]) -> None:
    """Tell precision and recall by token on wordings that were left out."""
    groups = defaultdict(list)
    for example in labelled:
        groups[example.group].append(example)
    names = sorted(groups)
    random.Random(1).shuffle(names)
    scored: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]] = []
    for fold in range(arguments.folds):
        held = set(names[fold :: arguments.folds])
        train = gather(arguments, [each for each in labelled if each.group not in held], fold)
        is_common = common_words(train)
        scores = trained(matrix_of(train, is_common), fold)
        test = matrix_of([each for name in held for each in groups[name]], None)
        tokens_common = matrix_of([each for name in held for each in groups[name]], is_common)
        sums = scores[tokens_common.rows].sum(axis=0)
        missed = (test.labels > 0).sum() - (tokens_common.labels > 0).sum()
        print(
            f"fold {fold}: {len(test.labels)} tokens, {missed} of {(test.labels > 0).sum()} named ones common",
            flush=True,
        )
        scored.append((sums, tokens_common.labels))
    sums = np.concatenate([each for each, _ in scored])
    labels = np.concatenate([each for _, each in scored])
    for margin in (-2.0, -1.5, -1.0, -0.5, 0.0):
        said = sums.max(axis=1) > margin
        right = labels > 0
        typed = said & right & (sums.argmax(axis=1) + 1 == labels)
        precision, recall = (said & right).sum() / said.sum(), (said & right).sum() / right.sum()
        f2 = 5 * precision * recall / (4 * precision + recall)
        shares = {"precision": precision, "recall": recall, "F2": f2, "right type": typed.sum() / right.sum()}
        print(f"margin {margin}:", *(f"{name} {share:.3f}" for name, share in shares.items()))


def save(path: Path, weights: Weights) -> None:
    """Write a model in 8 bits a weight."""
    scale = np.float32(np.abs(weights.scores).max() / 127)
    np.savez_compressed(
        path,
        scores=np.round(weights.scores / scale).astype(np.int8),
        scale=scale,
        is_common=np.packbits(weights.is_common),
        margin=np.float32(weights.margin),
    )


def main() -> None:
    """Train or tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pii", type=Path, nargs="*", default=[])
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--invented", type=int, default=6000)
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--margin", type=float, default=-1.0)
    parser.add_argument("--output", type=Path, default=Path("names.npz"))
    arguments = parser.parse_args()
    labelled = [example for path in arguments.pii for example in read_labelled(path)]
    if arguments.folds:
        folds(arguments, labelled)
        return
    examples = gather(arguments, labelled, 0)
    is_common = common_words(examples)
    save(arguments.output, Weights(trained(matrix_of(examples, is_common)), is_common, arguments.margin))


if __name__ == "__main__":
    main()
