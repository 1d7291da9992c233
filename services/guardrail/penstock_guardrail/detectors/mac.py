"""Hardware addresses of network cards (IEEE 802): six octets, or three groups of four digits."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import BOUNDARY, Grammar, characters, either, repeated, sequence, words
from penstock_guardrail.pattern import Pattern


def _groups(digits: int, separator: str, more: int) -> Grammar:
    group = characters("[0-9A-Fa-f]", digits, digits)
    return sequence(group, repeated(sequence(characters(separator, 1, 1), group), more, more))


_ADDRESS = sequence(
    BOUNDARY, either(_groups(2, "[:]", 5), _groups(2, "[-]", 5), _groups(4, "[.]", 2)), BOUNDARY
)
_NOBODYS = (frozenset(b"0"), frozenset(b"fF"))


class MacDetector:
    """Find hardware addresses; all zeros and the broadcast are nobody's."""

    name = "mac"
    version = 1
    trigger = r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
    grammar = _ADDRESS

    def __init__(self) -> None:
        self._address = Pattern(words(_ADDRESS))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the addresses that begin in [start, end)."""
        for first, last in self._address.spans(view, start, end):
            digits = frozenset(view[first:last].translate(None, b":-."))
            alone = view[first - 1 : first] not in {b":", b"-", b"."} and view[last : last + 1] not in {
                b":",
                b"-",
            }
            if (
                alone
                and not any(digits <= nobodys for nobodys in _NOBODYS)
                and not digits <= frozenset(b".0")
            ):
                yield Candidate(first, last, "MAC_ADDRESS", 0.9, "mac/1", "six octets")
