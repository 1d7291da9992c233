"""Answers as they come, each written down as a decision before its end is told."""

from dataclasses import dataclass, field

from penstock_guardrail.answer import AnswerStream, Released
from penstock_guardrail.audit.entry import OUTPUT
from penstock_guardrail.policies.book import Regime
from penstock_guardrail.policy import Action
from penstock_guardrail.trail import Decision, Request, Trail
from penstock_guardrail.verdict import Finding, classify


@dataclass(slots=True)
class _Heard:
    """What was decided on one answer so far."""

    action: Action = Action.ALLOW
    findings: list[Finding] = field(default_factory=list)
    restored_types: set[str] = field(default_factory=set)
    shadow_findings: list[Finding] = field(default_factory=list)

    def hear(self, released: Released) -> Released:
        """Take a further decision."""
        self.action = max(self.action, released.action)
        self.findings += released.findings
        self.restored_types |= released.restored_types
        return released


class AuditedStream:
    """The answers to one request, by their positions."""

    def __init__(self, answers: AnswerStream, request: Request, regime: Regime, trail: Trail) -> None:
        self._answers = answers
        self._request = request
        self._regime = regime
        self._trail = trail
        rules = regime.shadow_rules
        self._shadow = None if rules is None else AnswerStream(rules, {})
        self._heard: dict[int, _Heard] = {}

    def push(self, choice: int, text: str) -> Released:
        """Take what follows of an answer and give what may leave.

        Raises:
            InvalidArgument: the answer was finished.
        """
        released = self._answers.push(choice, text)
        heard = self._heard.setdefault(choice, _Heard())
        if self._shadow is not None:
            heard.shadow_findings += self._shadow.push(choice, text).findings
        return heard.hear(released)

    async def finish(self, choice: int) -> Released:
        """End an answer and give what was held back.

        Raises:
            InvalidArgument: the answer was finished.
            Unavailable: the decision cannot be written down (STORAGE_UNAVAILABLE).
        """
        released = self._answers.finish(choice)
        heard = self._heard.pop(choice, _Heard())
        heard.hear(released)
        if self._shadow is not None:
            heard.shadow_findings += self._shadow.finish(choice).findings
        await self._trail.keep([(self._decision(heard), self._regime)])
        return released

    async def abandon(self) -> None:
        """Write down what was decided on answers that nobody waits for any more."""
        heard, self._heard = self._heard, {}
        await self._trail.keep([(self._decision(each), self._regime) for each in heard.values()])

    def _decision(self, heard: _Heard) -> Decision:
        types = heard.restored_types.union(finding.type for finding in heard.findings)
        classification = classify(types, self._regime.rules.policy)
        verdict = heard.action, classification, heard.findings
        shadow_findings = None if self._shadow is None else heard.shadow_findings
        return Decision(self._request, OUTPUT, *verdict, shadow_findings=shadow_findings)
