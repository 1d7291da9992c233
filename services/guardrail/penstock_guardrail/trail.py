"""The trail: every decision is written down before it is told, or it is not told."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import getrandbits  # ids are names and not secrets
from typing import Any

from penstock_guardrail.access import Asker
from penstock_guardrail.audit.entry import INPUT, counted, make_record, to_us
from penstock_guardrail.audit.journal import Journal
from penstock_guardrail.counters import Counters
from penstock_guardrail.policies.applied import Applied, applied, confidences
from penstock_guardrail.policies.book import Regime, Shadow
from penstock_guardrail.policy import Action, Classification
from penstock_guardrail.vault import Principal
from penstock_guardrail.verdict import Finding


@dataclass(frozen=True, slots=True)
class Request:
    """On whose behalf something is decided, and what for."""

    principal: Principal
    asker: Asker
    api_key: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on a request, or on the answer to it."""

    request: Request
    direction: str
    action: Action
    classification: Classification
    findings: Sequence[Finding] = ()
    regions: Sequence[str] = ()
    # What a shadow found that looks for other things; None: the same.
    shadow_findings: Sequence[Finding] | None = None


class Trail:
    """Writes decisions down."""

    def __init__(self, journal: Journal, counters: Counters, clock: Callable[[], datetime]) -> None:
        self._journal = journal
        self._counters = counters
        self._clock = clock

    async def keep(self, decisions: Iterable[tuple[Decision, Regime]]) -> None:
        """Write a list of decisions down.

        Raises:
            Unavailable: the disk does not take them (STORAGE_UNAVAILABLE).
            ResourceExhausted: too many wait for the log already (OVERLOADED).
        """
        now_us = to_us(self._clock())
        records = [self._record(decision, regime, now_us) for decision, regime in decisions]
        if records:
            await self._journal.append(records)

    def _record(self, decision: Decision, regime: Regime, now_us: int) -> bytes:
        facts = _facts(decision, regime)
        if regime.shadow is not None:
            would = _shadowed(decision, regime.shadow)
            self._counters.shadowed(decision.action, would.action)
            if differs := _differing(decision, would):
                facts["shadow"] = {"policy": regime.shadow.name, **differs}
        return make_record(
            "decision",
            entry_id=f"{now_us:014x}{getrandbits(64):016x}",
            time_us=now_us,
            retention_days=regime.rules.policy.retention_days,
            **facts,
        )


def _facts(decision: Decision, regime: Regime) -> dict[str, Any]:
    request = decision.request
    facts: dict[str, Any] = {
        "organization": request.principal.organization,
        "user": request.principal.user,
        "api_key": request.api_key,
        "roles": request.asker.roles,
        "request_id": request.request_id,
        "direction": decision.direction,
        "operation": request.asker.operation,
        "action": decision.action.name,
        "classification": decision.classification.name,
        "policy_version": regime.rules.version,
    }
    if request.asker.region:
        facts["region"] = request.asker.region
    if decision.regions:
        facts["regions"] = list(decision.regions)
    if decision.findings:
        facts |= _found(decision.findings, regime)
    return facts


def _found(findings: Sequence[Finding], regime: Regime) -> dict[str, Any]:
    """Count what was found: by type and action, by recognizer, and for each clause of a regulation."""
    facts: dict[str, Any] = {
        "findings": counted(f"{finding.type} {finding.action.name}" for finding in findings),
        "recognizers": counted(finding.recognizer for finding in findings),
        "confidences": confidences(findings),
    }
    fields = counted(name for finding in findings for name in regime.audit_fields.get(finding.type, ()))
    if fields:
        facts["clauses"] = fields
    return facts


def _shadowed(decision: Decision, shadow: Shadow) -> Applied:
    """Tell what another policy would do."""
    findings = decision.findings if decision.shadow_findings is None else decision.shadow_findings
    policy, asker = shadow.rules.policy, decision.request.asker
    return applied(policy, asker, confidences(findings), is_prompt=decision.direction == INPUT)


def _differing(decision: Decision, would: Applied) -> dict[str, Any]:
    """Tell what it would do otherwise, with the whole and with each type."""
    done: dict[str, Action] = {}
    for finding in decision.findings:
        done[finding.type] = max(finding.action, done.get(finding.type, Action.ALLOW))
    types = {
        found_type: action.name
        for found_type, action in would.types.items()
        if action is not done.get(found_type, Action.ALLOW)
    }
    facts = {"types": types} if types else {}
    return {"action": would.action.name, **facts} if types or would.action is not decision.action else {}
