"""Screen what a model says, whole or as it comes: restore the tokens of the session, replace what is new.

Detection runs on the model's own words, tokens still in place; restoration comes after it. So what is restored
is never taken for a finding, and what a model invents is never restored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from servicekit.errors import InvalidArgument

from penstock_guardrail.cutter import Cutter, is_clear
from penstock_guardrail.json_text import JsonText, Place
from penstock_guardrail.policy import Action
from penstock_guardrail.redaction import placeholder, token_of, type_of
from penstock_guardrail.rules import TEXT_TOO_LONG, Rules
from penstock_guardrail.verdict import (
    Finding,
    Judged,
    Verdict,
    classify,
    judge,
    limit_reached,
    strongest,
)

# What tokens stand for.
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Released:
    """What may leave now, and what was found in it."""

    text: str
    action: Action
    findings: Sequence[Finding] = ()
    held_characters: int = 0
    restored_types: frozenset[str] = frozenset()


class Answer:
    """One answer. After a refusal nothing more leaves."""

    def __init__(self, rules: Rules, values: Values, segment: int = 0) -> None:
        self._rules = rules
        self._values = values
        self._segment = segment
        self._cutter = Cutter(rules.outgoing)
        self._json = JsonText()
        self._characters = 0
        self._refused = False

    def push(self, text: str) -> Released:
        """Take what follows and give what may leave."""
        return self._screened(text, last=False)

    def finish(self, text: str = "") -> Released:
        """Take the last of the text, or all of it, and give the rest."""
        return self._screened(text, last=True)

    def _screened(self, text: str, *, last: bool) -> Released:
        if self._refused:
            return Released("", Action.REFUSE)
        self._characters += len(text)
        if self._characters > self._rules.characters_max:
            self._refused = True
            return Released("", Action.REFUSE, [limit_reached(TEXT_TOO_LONG)])
        pieces = self._cutter.finish(text) if last else self._cutter.push(text)
        return self._release(judge(pieces, self._rules.policy, self._segment))

    def _release(self, judged: Sequence[Judged]) -> Released:
        """Write what may leave: everything, or what stands before the first piece that is refused."""
        findings: list[Finding] = []
        written: list[str] = []
        restored_types: set[str] = set()
        for each in judged:
            place = self._json.place(each.piece.text)
            if each.finding is not None:
                findings.append(each.finding)
                if each.finding.action is Action.REFUSE:
                    self._refused = True
                    break
            token = token_of(each.piece.text) if each.is_token else ""
            if token in self._values:
                restored_types.add(type_of(token))
            value = self._values.get(token)
            written.append(place.write(value) if value else _written(each, place))
        held = 0 if self._refused else self._cutter.held_characters
        return Released("".join(written), strongest(findings), findings, held, frozenset(restored_types))


class AnswerStream:
    """The answers to one request, by their positions."""

    def __init__(self, rules: Rules, values: Values) -> None:
        self._rules = rules
        self._values = values
        self._open: dict[int, Answer] = {}
        self._finished: set[int] = set()

    def push(self, choice: int, text: str) -> Released:
        """Take what follows of an answer and give what may leave.

        Raises:
            InvalidArgument: the answer was finished.
        """
        return self._answer(choice).push(text)

    def finish(self, choice: int) -> Released:
        """End an answer and give what was held back.

        Raises:
            InvalidArgument: the answer was finished.
        """
        answer = self._answer(choice)
        self._finished.add(choice)
        del self._open[choice]
        return answer.finish()

    def _answer(self, choice: int) -> Answer:
        if choice in self._finished:
            raise InvalidArgument(
                "INVALID_ARGUMENT", f"answer {choice} was finished", metadata={"field": "choice_index"}
            )
        if choice not in self._open:
            self._open[choice] = Answer(self._rules, self._values, choice)
        return self._open[choice]


def screen_answer(rules: Rules, texts: Sequence[str], values: Values) -> Verdict:
    """Decide on whole texts as on the same texts as they come; a refused one is cut where the stream would end."""
    if sum(map(len, texts)) > rules.characters_max:
        return Verdict(Action.REFUSE, rules.policy.nothing_found, [limit_reached(TEXT_TOO_LONG)])
    findings: list[Finding] = []
    restored_types: set[str] = set()
    changed: dict[int, str] = {}
    for position, text in enumerate(texts):
        if is_clear(rules.outgoing, text):
            continue
        released = Answer(rules, values, position).finish(text)
        findings += released.findings
        restored_types |= released.restored_types
        if released.text != text:
            changed[position] = released.text
    classification = classify(restored_types.union(finding.type for finding in findings), rules.policy)
    return Verdict(strongest(findings), classification, findings, changed)


def _written(judged: Judged, place: Place) -> str:
    if judged.finding is not None and judged.is_redacted:
        return place.write(placeholder(judged.finding.type))
    return judged.piece.text
