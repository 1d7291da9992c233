"""Internet addresses, versions 4 and 6 (RFC 5952 and the longer forms of RFC 4291), that lead to somebody."""

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import (
    BOUNDARY,
    characters,
    either,
    literal,
    repeated,
    sequence,
    words,
)
from penstock_guardrail.pattern import Pattern

# More numbers than an address has, so that "1.2.3.4.5" is seen whole, and is none.
_NUMBERS = sequence(
    characters("[0-9]", 1, 3), repeated(sequence(literal("."), characters("[0-9]", 1, 3)), 3, 8)
)
_COLONS = characters(":", 1, 2)
_HEX = characters("[0-9A-Fa-f]", 1, 4)
_GROUPS = sequence(_HEX, repeated(sequence(_COLONS, _HEX), 1, 8))
_ADDRESS = sequence(BOUNDARY, either(_NUMBERS, _GROUPS), BOUNDARY)

_VERSION_BEFORE = r"(?i)(?:version|release|ver|v|section|chapter|clause)[ .:=]{0,2}\z"
_VERSION_CHARACTERS_MAX = 12
# What may be groups of a longer address before a colon ("host:" is none), and what maps version 4 into version 6.
_GROUPS_END = r"(?:\A|[^0-9A-Za-z])[0-9A-Fa-f]{0,4}:\z"
_MAPPED = r"::(?i:ffff:(?:0{1,4}:)?)?\z"
_GROUP_CHARACTERS_MAX, _MAPPED_CHARACTERS_MAX = 6, 12
_NETMASK_START = b"255."
_VERSION_4 = 4
_COLONS_MIN = 3
_COLONS_OF_ALL_GROUPS = 7
_HEX_MIN = 3


class IpDetector:
    """Find addresses of hosts; loopback, unspecified and netmasks are nobody's."""

    name = "ip"
    version = 3
    trigger = r"[0-9]\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]::[0-9A-Fa-f]|[0-9A-Fa-f]:[0-9A-Fa-f]{1,4}:"
    grammar = _ADDRESS

    def __init__(self) -> None:
        self._address = Pattern(words(_ADDRESS))
        self._version_before = Pattern(_VERSION_BEFORE)
        self._groups_end = Pattern(_GROUPS_END)
        self._mapped = Pattern(_MAPPED)

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the addresses that begin in [start, end)."""
        for first, last in self._address.spans(view, start, end):
            if self._stands_alone(view, first) and _leads_to_somebody(view[first:last]):
                yield Candidate(first, last, "IP_ADDRESS", 0.9, "ip/3", "parsed as an address")

    def _stands_alone(self, view: bytes, start: int) -> bool:
        """Tell an address from the rest of something longer and from the number of a version."""
        before = view[max(0, start - 2) : start]
        if before[-1:] == b"." and before[:-1].isdigit():
            return False
        if before[-1:] == b":" and self._groups_end.search(
            view[max(0, start - _GROUP_CHARACTERS_MAX) : start]
        ):
            return self._mapped.search(view[max(0, start - _MAPPED_CHARACTERS_MAX) : start]) is not None
        return self._version_before.search(view[max(0, start - _VERSION_CHARACTERS_MAX) : start]) is None


def _leads_to_somebody(written: bytes) -> bool:
    if b":" in written and b"::" not in written and written.count(b":") != _COLONS_OF_ALL_GROUPS:
        return False
    text = written.decode("ascii")
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return False
    if address.is_loopback or address.is_unspecified or written.startswith(_NETMASK_START):
        return False
    return address.version == _VERSION_4 or _is_no_name(text)


def _is_no_name(text: str) -> bool:
    """Tell "2001:db8::1" from the names of programs: "a::b", "Face::add"."""
    return any(character.isdigit() for character in text) and (
        text.count(":") >= _COLONS_MIN or len(text.partition(":")[0]) >= _HEX_MIN
    )
