"""A replay: decisions of the past decided again by two policies, from what was found then. No text is needed."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock_guardrail.access import Asker
from penstock_guardrail.audit.entry import INPUT
from penstock_guardrail.audit.log import Shown
from penstock_guardrail.policies.applied import Applied, applied
from penstock_guardrail.policy import Policy
from penstock_guardrail.rules import NAMES

CHANGES_MAX = 256
EXAMPLES_MAX = 5

# What a change is about, and what both policies make of it.
Kind = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """An entry of the log."""

    index: int
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of change: how many decisions it concerns, and the newest of them."""

    subject: str
    before: str
    after: str
    decisions: int
    examples: Sequence[Example]


class Replay:
    """Counts what one policy decides otherwise than another."""

    def __init__(self, before: Policy, after: Policy) -> None:
        self._before = before
        self._after = after
        self.decisions = 0
        self.changed_decisions = 0
        self.unreadable_entries = 0
        self.first_time_us = 0
        self._counts: Counter[Kind] = Counter()
        self._examples: defaultdict[Kind, deque[Example]] = defaultdict(lambda: deque(maxlen=EXAMPLES_MAX))

    def read(self, entries: Iterable[Shown]) -> None:
        """Decide again on what entries tell of, in the order of the log."""
        for entry in entries:
            record = orjson.loads(entry.record) if entry.record else None
            if record is None or (record["kind"] == "decision" and not _is_told(record)):
                self.unreadable_entries += 1
            elif record["kind"] == "decision":
                self._decide(record, Example(entry.index, record["id"]))

    @property
    def changes(self) -> list[Change]:
        """Give the changes, what concerns most decisions first; a bounded number."""
        return [
            Change(*kind, count, list(reversed(self._examples[kind])))
            for kind, count in sorted(self._counts.items(), key=_by_count)[:CHANGES_MAX]
        ]

    @property
    def blind_subjects(self) -> list[str]:
        """Name what the later policy looks for and the former did not, as differences name it."""
        known = {*self._before.recognizers, *self._before.topics}
        return [
            *(f"recognizers/{each.name}" for each in self._after.recognizers if each not in known),
            *(f"topics/{each.name}" for each in self._after.topics if each not in known),
            *(
                f"rules/{name}"
                for name in NAMES
                if self._after.minds([name]) and not self._before.minds(NAMES)
            ),
        ]

    def _decide(self, record: Mapping[str, Any], entry: Example) -> None:
        self.decisions += 1
        self.first_time_us = self.first_time_us or record["time_us"]
        asker = Asker(tuple(record["roles"]), record["operation"], record.get("region", ""))
        found, is_prompt = record.get("confidences", {}), record["direction"] == INPUT
        before, after = (
            applied(policy, asker, found, is_prompt=is_prompt) for policy in (self._before, self._after)
        )
        kinds = set(_kinds(before, after, asker))
        self.changed_decisions += bool(kinds)
        self._counts.update(kinds)
        for kind in kinds:
            self._examples[kind].append(entry)


def _is_told(record: Mapping[str, Any]) -> bool:
    """Tell whether a decision's record says how sure its findings were; those of former versions do not."""
    return "findings" not in record or "confidences" in record


def _kinds(before: Applied, after: Applied, asker: Asker) -> Iterator[Kind]:
    if before.action is not after.action:
        for subject in ("decisions", *(f"roles/{role}" for role in asker.roles)):
            yield subject, before.action.name.lower(), after.action.name.lower()
    for found_type, action in before.types.items():
        if action is not after.types[found_type]:
            yield f"types/{found_type}", action.name.lower(), after.types[found_type].name.lower()
    if before.regions != after.regions:
        yield "regions", " ".join(before.regions), " ".join(after.regions)


def _by_count(counted: tuple[Kind, int]) -> tuple[int, Kind]:
    kind, count = counted
    return -count, kind
