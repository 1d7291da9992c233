"""Addresses of crypto currencies: Bitcoin's with their checksums (Base58Check, BIP 173 and 350), Ethereum's by form."""

import hashlib
from collections.abc import Iterator

from penstock_guardrail.detectors.detector import Candidate
from penstock_guardrail.grammar import BOUNDARY, characters, either, literals, sequence, words
from penstock_guardrail.pattern import Pattern

_BASE58 = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CHECKSUMS = (1, 0x2BC830A3)
_CHECKSUM_BYTES = 4
_ADDRESS_BYTES = 25

_ADDRESS = sequence(
    BOUNDARY,
    either(
        sequence(characters("[13LMDXr]", 1, 1), characters("[1-9A-HJ-NP-Za-km-z]", 25, 34)),
        sequence(literals("bc1", "ltc1", "BC1"), characters("[0-9A-Za-z]", 25, 87)),
        sequence(literals("0x"), characters("[0-9A-Fa-f]", 40, 40)),
    ),
    BOUNDARY,
)


class CryptoDetector:
    """Find wallets."""

    name = "crypto"
    version = 1
    trigger = r"\b[13LMDXr][1-9A-HJ-NP-Za-km-z]{25}|\b(?:bc1|ltc1|BC1)[0-9A-Za-z]{25}|\b0x[0-9A-Fa-f]{40}\b"
    grammar = _ADDRESS

    def __init__(self) -> None:
        self._address = Pattern(words(_ADDRESS))

    def find(self, view: bytes, start: int, end: int) -> Iterator[Candidate]:
        """Give the addresses that begin in [start, end)."""
        for first, last in self._address.spans(view, start, end):
            confidence, evidence = _belief(view[first:last])
            if confidence > 0:
                yield Candidate(first, last, "CRYPTO_ADDRESS", confidence, "crypto/1", evidence)


def _belief(address: bytes) -> tuple[float, str]:
    if address.startswith(b"0x"):
        return 0.8, "form of an Ethereum address"
    if address.lower().startswith((b"bc1", b"ltc1")):
        return (0.99, "bech32 checksum passed") if bech32_fits(address.lower()) else (0.0, "")
    return (0.99, "base58 checksum passed") if base58_fits(address) else (0.0, "")


def base58_fits(address: bytes) -> bool:
    """Check the double SHA-256 at the end of a version and a hash of 20 bytes."""
    number = 0
    for character in address:
        number = number * len(_BASE58) + _BASE58.index(character)
    if number.bit_length() > _ADDRESS_BYTES * 8:
        return False
    whole = number.to_bytes(_ADDRESS_BYTES, "big")
    content, checksum = whole[:-_CHECKSUM_BYTES], whole[-_CHECKSUM_BYTES:]
    return hashlib.sha256(hashlib.sha256(content).digest()).digest()[:_CHECKSUM_BYTES] == checksum


def bech32_fits(address: bytes) -> bool:
    """Check the BCH code over the human-readable part and the data (BIP 173)."""
    name, _, data = address.rpartition(b"1")
    if any(character not in _BECH32 for character in data):
        return False
    values = [character >> 5 for character in name] + [0] + [character & 31 for character in name]
    checksum = 1
    for value in (*values, *map(_BECH32.index, data)):
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum in _BECH32_CHECKSUMS
