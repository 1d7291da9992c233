"""Payment card numbers: 12 to 19 digits (ISO/IEC 7812), grouped or not, with Luhn checksum and a known issuer range."""

from bisect import bisect_right
from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import BOUNDARY, characters, optional, repeated, sequence, words
from penstock_guardrail.pattern import Pattern

_DIGIT = characters("[0-9]", 1, 1)
_SEPARATORS = b" .-"
_DIGITS_MIN = 12
_NUMBER = sequence(
    BOUNDARY,
    characters("[0-9]", 4, 4),
    repeated(sequence(optional(characters("[ .-]", 1, 1)), _DIGIT), _DIGITS_MIN - 4, 15),
    BOUNDARY,
)

# Twice the digit, with its own digits added: what Luhn counts for every other digit.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
_CONTEXT = (
    r"(?i)card|credit|debit|visa|master|amex|american express|discover|diners|jcb|maestro|payment|pan\b|cvv|cvc|"
    r"\bcc\b|karte|carte|tarjeta|carta\b|cartao|kaart|kort\b|karty|\bkart"
)
_CONTEXT_CHARACTERS_MAX = 48
_PREFIX_DIGITS = 6
_GROUPS_OF_FOUR = r"[0-9]{4}(?: [0-9]{4}){3}|[0-9]{4}(?:-[0-9]{4}){3}"

# First and last six digits of a range, the issuer, the lengths it gives. Sorted, without overlap.
_Range = tuple[int, int, str, tuple[int, ...]]
_RANGES: tuple[_Range, ...] = (
    (60400, 60499, "maestro", (12,)),
    (180000, 180099, "jcb", (15,)),
    (213100, 213199, "jcb", (15,)),
    (220000, 220499, "mir", (16, 17, 18, 19)),
    (222100, 272099, "mastercard", (16,)),
    (300000, 305999, "diners club", (14, 16, 17, 18, 19)),
    (309500, 309599, "diners club", (14, 16, 17, 18, 19)),
    (340000, 349999, "american express", (15,)),
    (352800, 358999, "jcb", (16, 17, 18, 19)),
    (360000, 369999, "diners club", (14, 15, 16, 17, 18, 19)),
    (370000, 379999, "american express", (15,)),
    (380000, 399999, "diners club", (14, 16, 17, 18, 19)),
    (400000, 499999, "visa", (13, 16, 19)),
    (500000, 509999, "maestro", (12, 13, 14, 15, 16, 17, 18, 19)),
    (510000, 559999, "mastercard", (16,)),
    (560000, 589999, "maestro", (12, 13, 14, 15, 16, 17, 18, 19)),
    (600000, 609999, "discover or rupay", (16, 17, 18, 19)),
    (620000, 629999, "unionpay", (16, 17, 18, 19)),
    (630400, 630499, "maestro", (12, 13, 14, 15, 16, 17, 18, 19)),
    (636000, 639999, "interpayment or instapayment", (12, 16, 17, 18, 19)),
    (644000, 659999, "discover", (16, 17, 18, 19)),
    (675900, 676399, "maestro", (12, 13, 14, 15, 16, 17, 18, 19)),
    (810000, 829999, "rupay or unionpay", (16, 17, 18, 19)),
    (979200, 979289, "troy", (16,)),
)
_STARTS = [first for first, *_ in _RANGES]


class CardDetector:
    """Find payment card numbers."""

    name = "card"
    version = 2
    trigger = r"[0-9](?:[ .-]?[0-9]){11}"
    grammar = _NUMBER

    def __init__(self) -> None:
        self._number = Pattern(words(_NUMBER))
        self._context = Pattern(_CONTEXT)
        self._groups_of_four = Pattern(_GROUPS_OF_FOUR)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the numbers that begin in [start, end)."""
        for first, last in self._number.spans(view, start, end):
            if not _continues_a_fraction(view, first):
                yield from self._judged(view, first, last)

    def _judged(self, view: bytes, start: int, longest: int) -> Iterator[Candidate]:
        """Take the longest number with a checksum: in "4111 1111 1111 1111 123" the last group is not its part."""
        for end in _group_ends(view, start, longest):
            digits = view[start:end].translate(None, _SEPARATORS)
            if len(digits) < _DIGITS_MIN:
                return
            if luhn(digits) and len(set(digits)) > 1:
                confidence, evidence = self._belief(view, start, end, digits)
                if confidence > 0:
                    yield Candidate(start, end, "CREDIT_CARD", confidence, "card/2", evidence)
                    return

    def _belief(self, view: bytes, start: int, end: int, digits: bytes) -> tuple[float, str]:
        brand = issuer(digits)
        before = view[max(0, start - _CONTEXT_CHARACTERS_MAX) : start]
        context = self._context.search(before) is not None
        if brand is not None:
            known = f"luhn checksum passed; issuer range {brand}"
            return (0.99, f"{known}; context word") if context else (0.95, known)
        if context:
            return 0.75, "luhn checksum passed; context word"
        if self._groups_of_four.match(view, start) == (start, end):
            return 0.6, "luhn checksum passed; groups of four"
        return 0.0, ""


def luhn(digits: bytes) -> bool:
    """Check the checksum of ISO/IEC 7812-1, annex B."""
    plain, doubled = digits[-1::-2], digits[-2::-2].translate(_DOUBLED)
    return (sum(plain) + sum(doubled) - len(digits) * ord("0")) % 10 == 0


def issuer(digits: bytes) -> str | None:
    """Name the issuer whose range and lengths fit, None when there is none."""
    prefix = int(digits[:_PREFIX_DIGITS])
    position = bisect_right(_STARTS, prefix) - 1
    if position < 0:
        return None
    _, last, name, lengths = _RANGES[position]
    return name if prefix <= last and len(digits) in lengths else None


def _group_ends(view: bytes, start: int, longest: int) -> Iterator[int]:
    yield longest
    for index in range(longest - 1, start, -1):
        if view[index] in _SEPARATORS:
            yield index


def _continues_a_fraction(view: bytes, start: int) -> bool:
    return start > 1 and view[start - 1 : start] == b"." and view[start - 2 : start - 1].isdigit()
