"""What proves that something was forgotten. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from penstock_cache.entry import Selector

_SELECTOR = b"erased selector"
FIRST_PREVIOUS = bytes(32)


def selector_digest(tenant_secret: bytes, selector: Selector) -> bytes:
    """Name what was forgotten to whoever knows it, and to nobody else: 32 bytes."""
    text = json.dumps(selector).encode()
    return blake2b(text, key=tenant_secret, person=_SELECTOR, digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt, a link of a chain. `erased_at` is whole milliseconds since the epoch; counts are by tier number."""

    sequence: int
    erased_at_ms: int
    selector_digest: bytes
    counts: Mapping[int, int]
    previous_digest: bytes
    public_key: bytes
    signature: bytes = b""

    @property
    def entries(self) -> int:
        """How much was forgotten, over all tiers."""
        return sum(self.counts.values())

    def statement(self) -> bytes:
        """Give what is signed: one line of JSON, always the same for the same receipt."""
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":")).encode()

    def line(self) -> bytes:
        """Give the line of the log."""
        fields = self._fields() | {"signature": self.signature.hex()}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    def digest(self) -> bytes:
        """Give what the next receipt refers to: SHA-256 of the line."""
        return hashlib.sha256(self.line()).digest()

    def _fields(self) -> dict[str, object]:
        return {
            "sequence": self.sequence,
            "erased_at_ms": self.erased_at_ms,
            "selector": self.selector_digest.hex(),
            "counts": {str(tier): count for tier, count in sorted(self.counts.items())},
            "previous": self.previous_digest.hex(),
            "public_key": self.public_key.hex(),
        }


def read(line: bytes) -> Receipt:
    """Read a line of the log.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(line)
        return Receipt(
            sequence=int(fields["sequence"]),
            erased_at_ms=int(fields["erased_at_ms"]),
            selector_digest=bytes.fromhex(fields["selector"]),
            counts={int(tier): int(count) for tier, count in fields["counts"].items()},
            previous_digest=bytes.fromhex(fields["previous"]),
            public_key=bytes.fromhex(fields["public_key"]),
            signature=bytes.fromhex(fields["signature"]),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not a receipt") from error
