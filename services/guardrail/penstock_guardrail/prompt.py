"""Screen what goes to a model: the texts of one request, whose values share one numbering of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from penstock_guardrail.canonical import has_hidden, hidden_spelled
from penstock_guardrail.cutter import CANDIDATES_MAX, TOO_MANY_FINDINGS, Cutter, Piece, is_clear
from penstock_guardrail.injection.classifier import Judgement
from penstock_guardrail.json_text import JsonText, Place
from penstock_guardrail.policy import Replacement
from penstock_guardrail.redaction import placeholder
from penstock_guardrail.rules import TEXT_TOO_LONG, Rules
from penstock_guardrail.scanner import Scanner
from penstock_guardrail.suspicion import suspects, suspicions
from penstock_guardrail.verdict import Finding, Judged, findings_of, judge, limit_reached

# A piece, and where it stands in its text.
Placed = tuple[Judged, Place]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was found in the texts, and the pieces of those in which something was, by their position."""

    findings: Sequence[Finding] = ()
    judged: Mapping[int, Sequence[Placed]] | None = None

    def values(self, replacement: Replacement) -> list[tuple[str, str]]:
        """Give the types and values that something of a kind stands in for, in the order they occur."""
        return [
            (each.finding.type, place.read(each.piece.text))
            for pieces in (self.judged or {}).values()
            for each, place in pieces
            if each.finding is not None and each.is_redacted and each.finding.replacement is replacement
        ]

    def texts(self, tokens: Mapping[tuple[str, str], str]) -> dict[int, str]:
        """Write the texts that change, with a token for each value."""
        return {
            position: "".join(_written(each, place, tokens) for each, place in pieces)
            for position, pieces in (self.judged or {}).items()
            if any(each.is_redacted for each, _ in pieces)
        }


_CLEAN = Prompt()


@dataclass(frozen=True, slots=True)
class Asked:
    """The texts of one request, what they are screened with, and who speaks each; nobody: they give no instructions."""

    rules: Rules
    texts: Sequence[str]
    roles: Sequence[str] = ()

    @property
    def is_too_long(self) -> bool:
        """Tell what is refused unread."""
        return sum(map(len, self.texts)) > self.rules.characters_max


def screen_prompts(requests: Sequence[Asked]) -> list[Prompt]:
    """Look through the texts of some requests. Attacks are judged together, since that costs less."""
    suspected = [() if asked.is_too_long else suspects(asked.roles) for asked in requests]
    texts = [asked.texts[at] for asked, own in zip(requests, suspected, strict=True) for at in own]
    judgements = iter(requests[0].rules.classifier.judge_all(texts) if texts else ())
    return [
        _screened(asked, dict(zip(own, islice(judgements, len(own)), strict=True)))
        for asked, own in zip(requests, suspected, strict=True)
    ]


def _screened(asked: Asked, judgements: Mapping[int, Judgement]) -> Prompt:
    if asked.is_too_long:
        return Prompt([limit_reached(TEXT_TOO_LONG)])
    rules = asked.rules
    findings: list[Finding] = []
    judged: dict[int, Sequence[Placed]] = {}
    for position, text in enumerate(asked.texts):
        hidden = has_hidden(text)
        if not hidden and is_clear(rules.incoming, text):
            continue
        pieces = Cutter(rules.incoming).finish(text)
        if hidden:
            pieces = [part for piece in pieces for part in _read_by_models(piece, rules.incoming)]
        if any(piece.found is not None for piece in pieces):
            own, json = judge(pieces, rules.policy, position), JsonText()
            judged[position] = [(each, json.place(each.piece.text)) for each in own]
            findings += findings_of(own)
        if len(findings) > CANDIDATES_MAX:
            return Prompt([limit_reached(TOO_MANY_FINDINGS)])
    findings += suspicions(judgements, asked.roles, rules.policy, rules.classifier.name)
    return Prompt(findings, judged) if findings else _CLEAN


def _read_by_models(piece: Piece, scanner: Scanner) -> list[Piece]:
    """Cut what is clear to people once more, by what its hidden characters say."""
    if piece.found is not None or not has_hidden(piece.text):
        return [piece]
    return [
        Piece(piece.start + part.start, piece.text[part.start : part.end], part.found)
        for part in Cutter(scanner).finish(hidden_spelled(piece.text))
    ]


def _written(judged: Judged, place: Place, tokens: Mapping[tuple[str, str], str]) -> str:
    if judged.finding is None or not judged.is_redacted:
        return judged.piece.text
    found_type = judged.finding.type
    return place.write(tokens.get((found_type, place.read(judged.piece.text))) or placeholder(found_type))
