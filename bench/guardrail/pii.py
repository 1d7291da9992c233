"""How much personal data is found, and how much besides; Presidio's pattern recognisers on the same texts.

Structured types are judged by span: a span is found when one of the same type covers at least half of it and is at
most twice its length, and one that meets no span of its type is false. All types together are judged by words, personal
or not, as the peer's own notebooks do.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report import rounded
from rich.table import Table

from guardrail.presidio import Presidio
from guardrail.scanning import Span, all_rules, found_in
from guardrail.suite import Counts, Suite, records

STRUCTURED = (
    *("CREDIT_CARD", "PHONE_NUMBER", "IBAN_CODE", "EMAIL_ADDRESS", "IP_ADDRESS", "US_SSN"),
    *("US_DRIVER_LICENSE", "URL", "MAC_ADDRESS", "CRYPTO_ADDRESS", "NATIONAL_ID", "BIC"),
)
# The same thing under another name, in data sets and in the peer.
_SAME = {
    **dict.fromkeys(("DOMAIN_NAME", "URI"), "URL"),
    **dict.fromkeys(("GPE", "LOC", "CITY", "STREET_ADDRESS", "ADDRESS", "ZIP_CODE", "FAC"), "LOCATION"),
    **dict.fromkeys(("PER", "FIRST_NAME", "LAST_NAME", "NAME"), "PERSON"),
    **dict.fromkeys(("ORG", "COMPANY"), "ORGANIZATION"),
    **dict.fromkeys(("DATE", "TIME", "DATE_OF_BIRTH"), "DATE_TIME"),
    **dict.fromkeys(("US_DRIVER_LICENCE", "DRIVER_LICENSE"), "US_DRIVER_LICENSE"),
    **dict.fromkeys(("CRYPTO",), "CRYPTO_ADDRESS"),
}
_WORD = re.compile(r"\w+")

Finder = Callable[[str], Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and the personal data in it."""

    text: str
    spans: Sequence[Span]


@dataclass(slots=True)
class Score:
    """One system on all texts."""

    by_type: Mapping[str, Counts]
    words: Counts

    @property
    def structured(self) -> Counts:
        """Put the structured types together."""
        total = Counts()
        for kind, counts in self.by_type.items():
            if kind in STRUCTURED:
                total.add(counts)
        return total


def measure(path: Path, *, quick: bool) -> Suite:
    """Score us, and Presidio where it is installed."""
    rows = list(_read(path))
    rules = all_rules()
    ours = _score(rows, lambda text: found_in(rules, text))
    scores = {"penstock": ours}
    with Presidio() as presidio:
        if presidio.absent is None:
            few = rows[: 500 if quick else None]
            scores["presidio"] = _score(few, presidio.find)
    structured, words = ours.structured, ours.words
    recalls = {
        f"pii_recall_{kind.lower()}": rounded(ours.by_type[kind].recall)
        for kind in ours.by_type
        if kind in STRUCTURED
    }
    figures = {"pii_f2_structured": rounded(structured.f2), "pii_f2_all": rounded(words.f2), **recalls}
    if "presidio" in scores:
        figures["presidio_f2_structured"] = rounded(scores["presidio"].structured.f2)
    bars = [(f"F2 structured, {name}", score.structured.f2) for name, score in scores.items()]
    bars += [("F2 all types", words.f2)]
    bars += [(f"recall {name.removeprefix('pii_recall_')}", value) for name, value in recalls.items()]
    details = {
        name: {kind: counts.rounded() for kind, counts in sorted(score.by_type.items())}
        for name, score in scores.items()
    }
    return Suite(figures, _table(scores), bars, {"pii": details})


def _read(path: Path) -> Sequence[Labelled]:
    return [
        Labelled(
            row["text"],
            [Span(span["start"], span["end"], _same(span["type"])) for span in row["spans"]],
        )
        for row in records(path)
    ]


def _same(kind: str) -> str:
    return _SAME.get(kind, kind)


def _score(rows: Sequence[Labelled], find: Finder) -> Score:
    by_type: dict[str, Counts] = defaultdict(Counts)
    words = Counts()
    for row in rows:
        found = [Span(span.start, span.end, _same(span.type)) for span in find(row.text)]
        for kind in {span.type for span in (*row.spans, *found)}:
            right = [span for span in row.spans if span.type == kind]
            said = [span for span in found if span.type == kind and not _is_part(span, row.spans)]
            by_type[kind].add(_by_span(right, said))
        words.add(_by_word(row, found))
    return Score(by_type, words)


def _by_span(right: Sequence[Span], found: Sequence[Span]) -> Counts:
    hit = sum(any(_matches(span, other) for other in found) for span in right)
    false = sum(not any(span.overlap(other) for other in right) for span in found)
    return Counts(hit, false, len(right) - hit)


def _is_part(found: Span, right: Sequence[Span]) -> bool:
    """Tell what is right as a part of something else, as a domain is of an e-mail address."""
    return any(
        span.type in STRUCTURED
        and span.type != found.type
        and span.start <= found.start
        and found.end <= span.end
        for span in right
    )


def _matches(span: Span, found: Span) -> bool:
    length = span.end - span.start
    return 2 * span.overlap(found) >= length and found.end - found.start <= 2 * length


def _by_word(row: Labelled, found: Sequence[Span]) -> Counts:
    counts = Counts()
    for match in _WORD.finditer(row.text):
        word = Span(*match.span(), "")
        right = any(word.overlap(span) for span in row.spans)
        said = any(word.overlap(span) for span in found)
        counts.true += right and said
        counts.false += said and not right
        counts.missed += right and not said
    return counts


def _table(scores: Mapping[str, Score]) -> Table:
    table = Table(title="Personal data", caption="all types: by word, personal or not")
    for column in ("type", "system", "precision", "recall", "F2", "in the data"):
        table.add_column(column, justify="left" if column in {"type", "system"} else "right")
    present = {kind for kind, counts in scores["penstock"].by_type.items() if counts.true + counts.missed}
    for kind in sorted(present):
        for name, score in scores.items():
            table.add_row(kind, name, *score.by_type.get(kind, Counts()).row())
    for name, score in scores.items():
        table.add_row("[bold]structured", name, *score.structured.row())
        table.add_row("[bold]all types", name, *score.words.row())
    return table
