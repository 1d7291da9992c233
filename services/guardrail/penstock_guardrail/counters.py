"""What operators see: how much is found, what is done with it, and how much streams hold back."""

from collections.abc import Iterable

from servicekit.metrics import Metrics

from penstock_guardrail.policy import Action
from penstock_guardrail.verdict import Finding

_HELD_BUCKETS = (0, 1, 4, 16, 64, 256, 1024, 4096, 16384)


class Counters:
    """Prometheus collectors. Types are those of detectors, so the number of labels is bounded."""

    def __init__(self, metrics: Metrics) -> None:
        self._findings = metrics.counter(
            "guardrail_findings_total", "What was found, and what was done with it.", ["type", "action"]
        )
        self._held = metrics.histogram(
            "guardrail_held_characters", "Characters held back after a delta.", buckets=_HELD_BUCKETS
        )

        self._shadowed = metrics.counter(
            "guardrail_shadowed_total",
            "Decisions of organizations with a shadow policy: what was decided, and what it would decide.",
            ["action", "shadow_action"],
        )

    def shadowed(self, action: Action, shadow_action: Action) -> None:
        """Count a decision that another policy shadowed."""
        self._shadowed.labels(action.name.lower(), shadow_action.name.lower()).inc()

    def found(self, findings: Iterable[Finding]) -> None:
        """Count findings."""
        for finding in findings:
            self._findings.labels(finding.type, finding.action.name.lower()).inc()

    def held(self, characters: int) -> None:
        """Observe what a stream holds back."""
        self._held.observe(characters)
