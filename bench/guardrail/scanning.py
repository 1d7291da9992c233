"""The guardrail's own screening, without its server: the same rules, the same cutter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_guardrail import policy
from penstock_guardrail.cutter import Cutter
from penstock_guardrail.rules import NAMES, Rules, make_rules

CHARACTERS_MAX = 16_777_216


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a text that is said to be something. Positions count Unicode characters, end exclusive."""

    start: int
    end: int
    type: str

    def overlap(self, other: "Span") -> int:
        """Count the characters of both."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))


def all_rules() -> Rules:
    """Give what the service screens with when its policy minds everything that can be found, names too."""
    text = Path(policy.__file__).with_name("policy.yaml").read_text()
    default = policy.parse(text)
    minded = {name: default.rule(name).model_copy(update={"action": policy.Action.REDACT}) for name in NAMES}
    types = default.types | minded
    return make_rules(default.model_copy(update={"types": types}), CHARACTERS_MAX)


def found_in(rules: Rules, text: str) -> Sequence[Span]:
    """Give what the policy believes was found in a text."""
    return [
        Span(piece.start, piece.end, piece.found.type)
        for piece in Cutter(rules.incoming).finish(text)
        if piece.found is not None and piece.found.confidence >= rules.policy.confidence_min
    ]
