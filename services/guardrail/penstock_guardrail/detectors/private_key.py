r"""Private keys in PEM (RFC 7468, headers of RFC 1421) and OpenPGP armour, also with line ends written as \n."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import MATCH_CHARACTERS_MAX, Candidate
from penstock_guardrail.grammar import characters, either, literal, optional, repeated, sequence, words
from penstock_guardrail.pattern import Pattern

_BEGIN = b"-----BEGIN "
_BASE64 = "[0-9A-Za-z+/=]"
_LINE_CHARACTERS_MIN = 16

_LABEL = sequence(
    characters("[0-9A-Z ]", 0, 24), literal("PRIVATE KEY"), optional(literal(" BLOCK")), literal("-----")
)
_SPACES = repeated(either(characters(r"\s", 1, 1), literal(r"\n"), literal(r"\r")), 0, 8)
_HEADER = sequence(
    characters("[A-Z]", 1, 1), characters("[A-Za-z-]", 1, 24), literal(": "), characters(r"[^\n\\]", 0, 80)
)
_LINE = characters(_BASE64, _LINE_CHARACTERS_MIN)
_SHORT_LINE = characters(_BASE64, 1, _LINE_CHARACTERS_MIN - 1)
_KEY = sequence(
    literal(_BEGIN.decode()),
    _LABEL,
    repeated(sequence(_SPACES, _HEADER), 0, 4),
    repeated(sequence(_SPACES, _LINE), 1),
    optional(sequence(repeated(sequence(_SPACES, _SHORT_LINE), 0, 2), _SPACES, literal("-----END "), _LABEL)),
)


class PrivateKeyDetector:
    """Find private keys, whole ones and the first part of one. A mere mention of the first line is none."""

    name = "private-key"
    version = 1
    trigger = _BEGIN.decode()
    grammar = _KEY

    def __init__(self) -> None:
        self._key = Pattern(words(_KEY))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the keys that begin in [start, end)."""
        first = view.find(_BEGIN, start)
        while 0 <= first < end:
            found = self._key.match(view, first, first + MATCH_CHARACTERS_MAX - 1)
            if found is not None:
                yield Candidate(first, found[1], "PRIVATE_KEY", 0.99, "private-key/1", "PEM label and body")
            first = view.find(_BEGIN, first + 1)
