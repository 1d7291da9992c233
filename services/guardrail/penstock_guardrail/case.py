"""A case: the texts of one request or answer, what decides on them, and the decision. No I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from servicekit.errors import ServiceError

from penstock_guardrail.access import Access, access, restorable
from penstock_guardrail.answer import Values, screen_answer
from penstock_guardrail.audit.entry import INPUT, OUTPUT
from penstock_guardrail.policies.book import Regime
from penstock_guardrail.policy import Action, Classification
from penstock_guardrail.prompt import Asked, Prompt, screen_prompts
from penstock_guardrail.rules import Rules
from penstock_guardrail.trail import Decision, Request
from penstock_guardrail.vault import Principal, Receipt
from penstock_guardrail.verdict import Finding, Verdict, classify, strongest


class Direction(Enum):
    """Which way texts flow."""

    INPUT = auto()
    OUTPUT = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """The texts of one request or answer, and who speaks. `deadline` is of the monotonic clock, in seconds."""

    request: Request
    direction: Direction
    texts: Sequence[str]
    redaction_session: str = ""
    deadline: float = math.inf
    roles: Sequence[str] = ()

    @property
    def principal(self) -> Principal:
        """On whose behalf it is."""
        return self.request.principal


Outcome = Verdict | ServiceError


class Ruling(NamedTuple):
    """What was decided on an item, and the version of the policy and the recognizers that decided."""

    outcome: Outcome
    policy_version: str


class Case(NamedTuple):
    """An item and what decides on it: the same from its first look to its last, whatever changes meanwhile."""

    item: Item
    regime: Regime

    @property
    def rules(self) -> Rules:
        """What texts are screened with."""
        return self.regime.rules


Cases = Mapping[int, Case]


def screened(cases: Cases) -> dict[int, tuple[Prompt, Access]]:
    """Look through prompts, and decide who may send them where."""
    prompts = screen_prompts([_asked(case.item, case.rules) for case in cases.values()])
    return {
        position: (prompt, access(case.rules.policy, case.item.request.asker, _classification(prompt, case)))
        for (position, case), prompt in zip(cases.items(), prompts, strict=True)
    }


def _asked(item: Item, rules: Rules) -> Asked:
    instructs = item.request.asker.operation == "chat"
    return Asked(rules, item.texts, item.roles if instructs else ())


def verdict_on_prompt(
    case: Case, found: tuple[Prompt, Access], receipt: Receipt | ServiceError | None
) -> Outcome:
    """Decide on a prompt, given what the vault gave for its values."""
    if isinstance(receipt, ServiceError):
        return receipt
    prompt, granted = found
    classification = _classification(prompt, case)
    if granted.refusal is not None:
        return Verdict(Action.REFUSE, classification, [*prompt.findings, granted.refusal])
    action = strongest(prompt.findings)
    if action is Action.REFUSE or not prompt.findings:
        return Verdict(action, classification, prompt.findings, regions=granted.regions)
    receipt = receipt or Receipt("", {})
    texts = prompt.texts(receipt.tokens)
    return Verdict(action, classification, prompt.findings, texts, receipt.session, granted.regions)


def answered(case: Case, values: Values) -> Verdict:
    """Decide on an answer, given the values of its session."""
    rules = case.rules
    return screen_answer(rules, case.item.texts, restorable(values, rules.policy, case.item.request.asker))


def shadowed(item: Item, rules: Rules) -> Sequence[Finding]:
    """Search for what a shadow looks for."""
    if item.direction is Direction.INPUT:
        return screen_prompts([_asked(item, rules)])[0].findings
    return screen_answer(rules, item.texts, {}).findings


def decision(item: Item, verdict: Verdict, shadow_findings: Sequence[Finding] | None = None) -> Decision:
    """Give what is written down of a verdict."""
    direction = INPUT if item.direction is Direction.INPUT else OUTPUT
    verdicts = verdict.action, verdict.classification, verdict.findings, verdict.regions
    return Decision(item.request, direction, *verdicts, shadow_findings)


def _classification(prompt: Prompt, case: Case) -> Classification:
    return classify((finding.type for finding in prompt.findings), case.rules.policy)
