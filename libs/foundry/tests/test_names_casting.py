"""Casting the model of names: what it learns from a few labelled texts, and that it does so again."""

import json

import numpy as np
import pytest
from penstock_foundry.names.__main__ import main
from penstock_foundry.names.corpus import read_labelled
from penstock_foundry.names.design import common_words, matrix_of

FIRST = ("Ann", "Bob", "Cleo", "Dana", "Emil", "Fay", "Gus", "Hedy", "Ivan", "June")
CITIES = ("Lisbon", "Porto", "Graz", "Lyon", "Turin", "Malmo", "Ghent", "Basel", "Brno", "Split")
WORDINGS = (
    "My name is {} and I live in {}.",
    "Please ask {} whether the train to {} is late.",
    "{} moved to {} today.",
)


@pytest.fixture
def labelled(tmp_path):
    """Give a file of labelled texts."""
    lines = []
    for wording in WORDINGS:
        before, between, after = wording.split("{}")
        for first in FIRST:
            for city in CITIES:
                text = f"{before}{first}{between}{city}{after}"
                at = len(before) + len(first) + len(between)
                spans = [
                    {"start": len(before), "end": len(before) + len(first), "type": "PERSON"},
                    {"start": at, "end": at + len(city), "type": "GPE"},
                ]
                lines.append(json.dumps({"text": text, "spans": spans}))
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_the_same_files_cast_the_same_model_of_the_form_that_ships(labelled, tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("Light is made of rays.\n\nColours are not changed by it.")
    outputs = [tmp_path / name for name in ("first.npz", "second.npz")]
    for output in outputs:
        main(["--pii", str(labelled), "--plain", str(plain), "--invented", "0", "--output", str(output)])
    first, second = map(np.load, outputs)
    assert sorted(first) == ["is_common", "margin", "scale", "scores"]
    assert all(np.array_equal(first[name], second[name]) for name in first)
    examples = list(read_labelled(labelled))
    matrix = matrix_of(examples, common_words(examples))
    sums = first["scores"].astype(np.float32)[matrix.rows].sum(axis=0) * first["scale"]
    said = np.where(sums.max(axis=1) > float(first["margin"]), sums.argmax(axis=1) + 1, 0)
    assert (said == matrix.labels).mean() > 0.95


def test_what_it_reaches_is_told_by_wordings_that_it_has_not_seen(labelled, capsys):
    assert len({example.group for example in read_labelled(labelled)}) == len(WORDINGS)
    main(["--pii", str(labelled), "--invented", "0", "--folds", "3"])
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [
        f"margin {each}" for each in (-2.0, -1.5, -1.0, -0.5, 0.0)
    ]
    assert all("F2" in line for line in told)
