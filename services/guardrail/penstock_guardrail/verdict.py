"""What is decided on texts: findings, actions, and how sensitive the texts are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from penstock_guardrail.cutter import TOO_MANY_FINDINGS, Piece
from penstock_guardrail.policy import Action, Classification, Policy, Replacement
from penstock_guardrail.redaction import TOKEN_TYPE


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found, and what is done with it. It never holds the value found."""

    type: str
    segment: int
    start: int
    end: int
    confidence: float
    recognizer: str
    evidence: str
    action: Action
    replacement: Replacement = Replacement.TOKEN


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on the texts of one item. `texts` are those that changed, by their position.

    `regions` are those the texts may go to; none named means all.
    """

    action: Action
    classification: Classification
    findings: Sequence[Finding] = ()
    texts: Mapping[int, str] = field(default_factory=dict)
    redaction_session: str = ""
    regions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A piece and what is decided on it; `finding` is None for clear text and for tokens."""

    piece: Piece
    finding: Finding | None

    @property
    def is_token(self) -> bool:
        """Tell what has the form of a redaction token."""
        return self.piece.found is not None and self.finding is None

    @property
    def is_redacted(self) -> bool:
        """Tell what is to be replaced."""
        return self.finding is not None and self.finding.action is Action.REDACT


def judge(pieces: Iterable[Piece], policy: Policy, segment: int) -> list[Judged]:
    """Decide on each piece by the policy."""
    return [Judged(piece, _finding(piece, policy, segment)) for piece in pieces]


def limit_reached(limit: str) -> Finding:
    """Refuse texts that are not searched to their end."""
    return Finding(limit, 0, 0, 0, 1.0, "limit/1", "not searched to the end", Action.REFUSE)


def findings_of(judged: Iterable[Judged]) -> list[Finding]:
    """Give all findings."""
    return [each.finding for each in judged if each.finding is not None]


def strongest(findings: Iterable[Finding]) -> Action:
    """Give the action that overrides the others."""
    return max((finding.action for finding in findings), default=Action.ALLOW)


def classify(types: Iterable[str], policy: Policy) -> Classification:
    """Give the highest class of some types, or that of texts in which nothing was found."""
    return max((policy.rule(found_type).classification for found_type in types), default=policy.nothing_found)


def _finding(piece: Piece, policy: Policy, segment: int) -> Finding | None:
    found = piece.found
    if found is None or found.type == TOKEN_TYPE:
        return None
    too_many = found.type == TOO_MANY_FINDINGS
    action = Action.REFUSE if too_many else policy.action(found.type, found.confidence)
    place = (segment, piece.start, piece.end)
    replacement = policy.rule(found.type).replacement
    return Finding(
        found.type, *place, found.confidence, found.recognizer, found.evidence, action, replacement
    )
