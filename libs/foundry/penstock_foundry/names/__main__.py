"""Cast the model of names: `python -m penstock_foundry.names --pii FILE --plain FILE… --output names.npz`.

It learns from labelled texts (`--pii`, JSON Lines of text and spans), from the sentences of `sentences.txt` with
invented names in them (`--invented` of them; needs Faker), and from plain texts that hold no names. `--folds` tells
instead how well that does on sentences whose wording it has not seen.
"""

# ruff: noqa: T201, S311 - a script for people, its chances are no secrets

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock_guardrail.tagger import Weights

from penstock_foundry.names.corpus import Example, lowered, read_labelled, read_plain
from penstock_foundry.names.design import common_words, matrix_of
from penstock_foundry.names.evaluation import cross_validated
from penstock_foundry.names.training import save, trained

_MARGINS = (-2.0, -1.5, -1.0, -0.5, 0.0)
_LOWERED_OF = 8


def gather(arguments: argparse.Namespace, labelled: Sequence[Example], seed: int) -> list[Example]:
    """Put together what is learnt from."""
    chooser = random.Random(seed)
    small = lowered(labelled)
    return [
        *labelled,
        *chooser.sample(small, len(small) // _LOWERED_OF),
        *_invented(arguments.invented, chooser, seed),
        *(example for path in arguments.plain for example in read_plain(path)),
    ]


def _invented(count: int, chooser: random.Random, seed: int) -> Iterator[Example]:
    if not count:
        return
    from penstock_foundry.names.invention import Inventor  # noqa: PLC0415 - only who invents needs Faker

    inventor = Inventor(seed)
    templates = Path(__file__).with_name("sentences.txt").read_text().split("\n%\n")
    for _ in range(count):
        yield inventor.filled(chooser.choice(templates).strip("\n"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train or tell."""
    asked = _arguments(arguments)
    labelled = [example for path in asked.pii for example in read_labelled(path)]
    if asked.folds:
        held = cross_validated(labelled, asked.folds, lambda some, fold: gather(asked, some, fold))
        for margin in _MARGINS:
            shares = held.shares(margin).items()
            print(f"margin {margin}:", *(f"{name} {share:.3f}" for name, share in shares))
        return
    examples = gather(asked, labelled, 0)
    is_common = common_words(examples)
    save(asked.output, Weights(trained(matrix_of(examples, is_common)), is_common, asked.margin))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pii", type=Path, nargs="*", default=[])
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--invented", type=int, default=6000)
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--margin", type=float, default=-0.6)
    parser.add_argument("--output", type=Path, default=Path("names.npz"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
