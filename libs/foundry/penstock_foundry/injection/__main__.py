"""Cast the classifier of prompt injections from files given as arguments, and say what it reaches."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from penstock_guardrail.injection.weights import Weights, write

from penstock_foundry.injection import corpus, evaluation
from penstock_foundry.injection.corpus import Example
from penstock_foundry.injection.design import Design, design
from penstock_foundry.injection.training import calibrate, importance, labels_of, train

_SEED = 20
_ATTACKS_EACH = 8
_BENIGN_EACH = 16
_JOINED = 80
_EXCERPTS = 1500


def main() -> None:
    """Read, cross-validate, train on everything, write."""
    arguments = _arguments()
    labelled = frozenset(path.stem for path in arguments.labelled)
    examples = _examples(arguments)
    groups, matrix = evaluation.grouped(examples), design(examples)
    scores = evaluation.cross_validated(examples, matrix, groups, labelled, _SEED)
    labels, weights = labels_of(examples), importance(examples, groups, labelled)
    line = calibrate(scores, labels, weights)
    half = -line["offset"] / line["slope"]
    report: dict[str, object] = {"grouped_cross_validation": _on_labelled(examples, scores, labelled, half)}
    report["documents"] = _on_documents(examples, scores, line)
    report |= {
        f"without {name}": _left_out(examples, matrix, groups, labelled, name, half)
        for name in sorted(labelled)
    }
    print(json.dumps(report, indent=2))  # noqa: T201 - it is what the command is for
    if arguments.out is not None:
        fit = train(matrix, labels, weights, np.arange(len(examples)))
        _write(Weights(arguments.version, fit.buckets, fit.signals, fit.bias, **line), report, arguments.out)


def _examples(arguments: argparse.Namespace) -> Sequence[Example]:
    labelled = [example for path in arguments.labelled for example in corpus.read(path)]
    talk = [
        example
        for path in arguments.benign
        for example in corpus.sampled(corpus.read(path, attack=False), arguments.benign_rows, _SEED)
    ]
    made = list(corpus.generated(_SEED, _ATTACKS_EACH, _BENIGN_EACH))
    joined = corpus.joined(talk, _JOINED, _SEED)
    documents = corpus.excerpts(arguments.documents, _EXCERPTS, _SEED)
    return corpus.distinct([*labelled, *talk, *made, *joined, *documents])


def _on_labelled(
    examples: Sequence[Example], scores: evaluation.Scores, sources: frozenset[str], half: float
) -> dict[str, object]:
    attacks = np.array([each.attack and each.source in sources for each in examples])
    harmless = np.array([not each.attack and each.source in sources for each in examples])
    found = evaluation.figures(scores[attacks], scores[harmless], half)
    by_source = {}
    for name in sorted(sources):
        own = np.array([each.source == name for each in examples])
        by_source[name] = {
            "recall_at_1pct": _share(scores[own & attacks] > found.threshold),
            "benign_accuracy": _share(scores[own & harmless] < half),
        }
    return {**asdict(found), "sources": by_source}


def _on_documents(
    examples: Sequence[Example], scores: evaluation.Scores, line: Mapping[str, float]
) -> dict[str, object]:
    """Tell how many excerpts of files that were held out stay below some probabilities."""
    own = scores[np.array([each.source == corpus.DOCUMENTS for each in examples])]
    chances = 1 / (1 + np.exp(-(line["slope"] * own + line["offset"])))
    return {f"below {chance}": _share(chances < chance) for chance in (0.5, 0.6, 0.8)} if own.size else {}


def _left_out(
    examples: Sequence[Example],
    matrix: Design,
    groups: Sequence[str],
    labelled: frozenset[str],
    name: str,
    half: float,
) -> dict[str, object]:
    scores = evaluation.without_source(examples, matrix, groups, labelled, name)
    own = np.array([each.source == name for each in examples])
    attacks = own & (labels_of(examples) > 0)
    harmless = np.array([not each.attack and each.source in labelled for each in examples])
    found = evaluation.figures(scores[attacks], scores[harmless], half)
    return {"recall_at_1pct": found.recall_at_1pct, "benign_accuracy": _share(scores[own & harmless] < half)}


def _share(hits: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    return round(float(hits.mean()), 4) if hits.size else None


def _write(weights: Weights, report: dict[str, object], folder: Path) -> None:
    manifest, content = write(weights)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "buckets.i8").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"figures": report}, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="penstock_foundry.injection", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--labelled", type=Path, nargs="+", required=True, metavar="FILE", help="JSON Lines of text, label"
    )
    parser.add_argument(
        "--benign",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="harmless: JSON Lines or CSV with text",
    )
    parser.add_argument(
        "--documents",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="text files: prose, code, licences",
    )
    parser.add_argument("--benign-rows", type=int, default=400, help="of each of those files, at most")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the model is written; nowhere if left out"
    )
    parser.add_argument("--version", type=int, default=1, help="of the model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
