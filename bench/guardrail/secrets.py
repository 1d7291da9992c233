"""How many secrets are found, and how many texts without the secret of a rule are taken for one."""

from collections import defaultdict
from pathlib import Path

from harness.report import rounded
from rich.table import Table

from guardrail.scanning import all_rules, found_in
from guardrail.suite import Counts, Suite, records

SECRETS = frozenset({"SECRET", "PRIVATE_KEY", "CLOUD_RESOURCE"})
_SHOWN_MAX = 15


def measure(path: Path) -> Suite:
    """Score by text: fired or not. A text that a rule says holds its secret, punctuation aside, is no hard negative."""
    rows = list(records(path))
    rules = all_rules()
    secret = {_letters(row["text"]) for row in rows if row["label"]}
    by_rule: dict[str, Counts] = defaultdict(Counts)
    negatives = fired_on = 0
    for row in rows:
        fired = any(span.type in SECRETS for span in found_in(rules, row["text"]))
        if row["label"]:
            by_rule[row["rule_name"]].add(Counts(true=int(fired), missed=int(not fired)))
        elif _letters(row["text"]) not in secret:
            negatives += 1
            fired_on += fired
            by_rule[row["rule_name"]].add(Counts(false=int(fired)))
    total = Counts()
    for counts in by_rule.values():
        total.add(counts)
    rate = fired_on / negatives if negatives else 0.0
    figures = {"secrets_recall": rounded(total.recall), "secrets_hard_negative_rate": rounded(rate)}
    bars = [("secrets recall", total.recall), ("secrets, hard negatives fired", rate)]
    details = {rule: [counts.true, counts.missed, counts.false] for rule, counts in by_rule.items()}
    return Suite(figures, _table(by_rule, total, f"{fired_on} of {negatives}"), bars, {"secrets": details})


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _table(by_rule: dict[str, Counts], total: Counts, negatives: str) -> Table:
    table = Table(title="Secrets", caption=f"hard negatives fired: {negatives}; rules found whole left out")
    for column in ("rule", "found", "missed", "negatives fired"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    faulty = [(rule, counts) for rule, counts in by_rule.items() if counts.missed or counts.false]
    for rule, counts in sorted(faulty, key=lambda each: -each[1].missed)[:_SHOWN_MAX]:
        table.add_row(rule, str(counts.true), str(counts.missed), str(counts.false))
    table.add_row("[bold]all", str(total.true), str(total.missed), str(total.false))
    return table
