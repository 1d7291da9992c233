"""Names of resources in clouds: ARNs, buckets, hosted applications. No secrets, but what attackers start from."""

from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.expression import grammar_of
from penstock_guardrail.grammar import BOUNDARY, either, sequence, words
from penstock_guardrail.pattern import Pattern

_HOSTS = (
    r"[0-9A-Za-z._-]{1,100}\.s3(?:[.-][0-9a-z-]{1,20}){0,2}\.amazonaws\.com",
    r"s3(?:[.-][0-9a-z-]{1,20}){0,2}\.amazonaws\.com/[0-9A-Za-z._-]{2,63}",
    r"[0-9A-Za-z._-]{1,100}\.storage\.googleapis\.com",
    r"storage\.googleapis\.com/[0-9A-Za-z._-]{2,63}",
    r"[0-9a-z-]{1,63}\.(?:blob|file|queue|table|dfs)\.core\.windows\.net",
    r"[0-9a-z-]{1,63}\.(?:database|vault)\.(?:windows|azure)\.net",
    r"[0-9A-Za-z.-]{1,100}\.(?:myshopify|firebaseio|herokuapp|cloudfunctions|azconfig)\.(?:com|net|io)",
    r"[0-9]{8,24}-[0-9a-z]{20,40}\.apps\.googleusercontent\.com",
)
_NAME = sequence(
    BOUNDARY,
    either(
        grammar_of(r"arn:aws[a-z-]{0,10}:[0-9a-z-]{1,32}:[0-9a-z-]{0,20}:[0-9]{0,12}:[^\s\"'<>]{1,200}"),
        *(sequence(grammar_of(host), BOUNDARY) for host in _HOSTS),
    ),
)
# Policies of AWS itself, and the companies of documentation.
_NOBODYS = (b"::aws:", b"contoso", b"fabrikam")


class CloudDetector:
    """Find names of resources in clouds; a path after a host makes it a link to something."""

    name = "cloud"
    version = 1
    trigger = (
        r"arn:aws|\.amazonaws\.com|\.googleapis\.com|\.windows\.net|\.azure\.net|\.myshopify\.|\.firebaseio\.|"
        r"\.herokuapp\.|\.cloudfunctions\.|\.azconfig\.|\.googleusercontent\."
    )
    grammar = _NAME

    def __init__(self) -> None:
        self._name = Pattern(words(_NAME))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the names that begin in [start, end)."""
        for first, last in self._name.spans(view, start, end):
            host = view[first:last]
            if first > 0 and view[first - 1] in b".-":
                continue
            if view[last : last + 1] == b"/" or any(each in host for each in _NOBODYS):
                continue
            yield Candidate(first, last, "CLOUD_RESOURCE", 0.9, "cloud/1", "form of a cloud's names")
