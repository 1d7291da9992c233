"""How many attacks on a model are recognised when one harmless text in a hundred may be taken for one.

The model that ships is scored. Files that it was cast from flatter it: the figures of its grouped cross-validation,
which its manifest holds, stand beside them (`python -m penstock_foundry.injection` makes them anew).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness.report import rounded
from penstock_guardrail.injection.classifier import Classifier
from penstock_guardrail.injection.weights import manifest
from penstock_guardrail.policy import Action, Policy
from penstock_guardrail.suspicion import PROMPT_INJECTION
from rich.table import Table

from guardrail.scanning import all_rules
from guardrail.suite import Suite, records

_FALSE_POSITIVES = 0.01
_Scores = np.ndarray[tuple[int], np.dtype[np.float64]]


def measure(labelled: Sequence[Path], benign: Sequence[Path]) -> Suite:
    """Score files of text and label, and files of harmless texts."""
    rules = all_rules()
    files = [(path, _scores(rules.classifier, path, labelled=True)) for path in labelled]
    files += [(path, _scores(rules.classifier, path, labelled=False)) for path in benign]
    attacks = np.concatenate([attacks for _, (attacks, _) in files])
    harmless = np.concatenate([harmless for _, (_, harmless) in files])
    hard = np.concatenate([found for path, (_, found) in files if path in benign or not benign])
    threshold = _threshold(harmless)
    cast = manifest()["figures"]["grouped_cross_validation"]
    figures = {
        "injection_recall_at_1pct": _share(attacks > threshold),
        "injection_recall_refused": _share(_refused(rules.policy, attacks)),
        "benign_accuracy": _share(~_refused(rules.policy, hard)),
        "injection_recall_at_1pct_cross_validated": rounded(cast["recall_at_1pct"]),
        "benign_accuracy_cross_validated": rounded(cast["benign_accuracy"]),
    }
    figures = {name: value for name, value in figures.items() if value is not None}
    bars = [(name.replace("_", " "), value) for name, value in figures.items()]
    return Suite(
        figures, _table(files, rules.policy, threshold), bars, {"injection": {"threshold": threshold}}
    )


def _scores(classifier: Classifier, path: Path, *, labelled: bool) -> tuple[_Scores, _Scores]:
    """Give the probabilities of the attacks and of the harmless texts of a file."""
    rows = [(row["text"], bool(row["label"]) if labelled else False) for row in records(path)]
    judged = np.array([classifier.judge(text).probability for text, _ in rows])
    attack = np.array([attack for _, attack in rows], bool)
    return judged[attack], judged[~attack]


def _threshold(harmless: _Scores) -> float:
    """Give the probability that so few harmless texts are above of; 0.5 without any."""
    if not harmless.size:
        return 0.5
    return float(np.sort(harmless)[::-1][int(_FALSE_POSITIVES * harmless.size)])


def _refused(policy: Policy, probabilities: _Scores) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    decided = [policy.action(PROMPT_INJECTION, float(each)) is Action.REFUSE for each in probabilities]
    return np.array(decided, bool)


def _share(hits: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    return rounded(float(hits.mean())) if hits.size else None


def _table(files: Sequence[tuple[Path, tuple[_Scores, _Scores]]], policy: Policy, threshold: float) -> Table:
    table = Table(
        title="Injection", caption=f"1 % of harmless texts have a probability above {threshold:.3f}"
    )
    for column in ("file", "attacks", "recall at 1 %", "refused", "harmless", "let pass"):
        table.add_column(column, justify="left" if column == "file" else "right")
    for path, (attacks, harmless) in files:
        found = [_share(attacks > threshold), _share(_refused(policy, attacks))]
        passed = _share(~_refused(policy, harmless))
        cells = [len(attacks), *found, len(harmless), passed]
        table.add_row(path.name, *("" if cell is None else str(cell) for cell in cells))
    return table
