"""Receipts of what was forgotten: signed, chained, and on disk before anybody is told."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from servicekit.errors import Unavailable
from servicekit.logging import get_logger

from penstock_cache.entry import Selector
from penstock_cache.partition import RoomKeys
from penstock_cache.receipt import FIRST_PREVIOUS, Receipt, read, selector_digest

_SIGNING = b"erasure signing"
Result = TypeVar("Result")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verification:
    """What holds of a receipt."""

    signature: bool
    chain: bool
    selector: bool


class ErasureLog:
    """The log of one replica.

    Args:
        path: a file of JSON lines, made when there is none.
        keys: of this installation; the signing key is derived from its root secret.
    """

    def __init__(self, path: Path, keys: RoomKeys) -> None:
        self._path = path
        self._keys = keys
        seed = blake2b(key=keys.root_secret, person=_SIGNING, digest_size=32).digest()
        self._signer = Ed25519PrivateKey.from_private_bytes(seed)
        self._public_key = self._signer.public_key().public_bytes_raw()
        self._writing = asyncio.Lock()

    async def write(
        self, organization: str, selector: Selector, counts: Mapping[int, int], now: float
    ) -> Receipt:
        """Note that something was forgotten, and give the receipt.

        Raises:
            Unavailable: it cannot be written; what was forgotten stays forgotten.
        """
        draft = Receipt(
            sequence=1,
            erased_at_ms=int(now * 1000),
            selector_digest=selector_digest(self._keys.tenant_secret(organization), selector),
            counts=counts,
            previous_digest=FIRST_PREVIOUS,
            public_key=self._public_key,
        )
        async with self._writing:
            return await _on_disk(partial(self._append, draft))

    async def verify(self, receipt: Receipt, organization: str, selector: Selector) -> Verification:
        """Check a receipt against its signature, the log, and what it is said to be about.

        Raises:
            Unavailable: the log cannot be read.
        """
        digest = selector_digest(self._keys.tenant_secret(organization), selector)
        async with self._writing:
            receipts = await _on_disk(self._read)
        at = receipt.sequence - 1
        return Verification(
            signature=receipt.public_key == self._public_key and is_signed(receipt),
            chain=at < len(receipts) and receipts[at] == receipt and _is_chain(receipts),
            selector=receipt.selector_digest == digest,
        )

    def count(self) -> int:
        """Give how many receipts there are.

        Raises:
            OSError: the log cannot be read.
        """
        return len(self._read())

    def _append(self, draft: Receipt) -> Receipt:
        receipts = self._read()
        if receipts:
            last = receipts[-1]
            draft = replace(draft, sequence=last.sequence + 1, previous_digest=last.digest())
        receipt = replace(draft, signature=self._signer.sign(draft.statement()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.seek(sum(len(each.line()) + 1 for each in receipts))
            file.truncate()  # a line that a crash tore
            file.write(receipt.line() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return receipt

    def _read(self) -> list[Receipt]:
        """Read all whole receipts; what follows the first that is torn was never given to anybody."""
        receipts: list[Receipt] = []
        if not self._path.exists():
            return receipts
        for line in self._path.read_bytes().splitlines(keepends=True):
            try:
                receipt = read(line)
            except ValueError:
                receipt = None
            if receipt is None or line != receipt.line() + b"\n":
                log.warning("erasure_log_torn", after_sequence=len(receipts))
                break
            receipts.append(receipt)
        return receipts


async def _on_disk(work: Callable[[], Result]) -> Result:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise Unavailable("STORAGE_UNAVAILABLE", "The log of erasures cannot be used.") from error


def is_signed(receipt: Receipt) -> bool:
    """Tell whether a receipt is signed with the key that it names: all that an auditor elsewhere can check."""
    try:
        Ed25519PublicKey.from_public_bytes(receipt.public_key).verify(receipt.signature, receipt.statement())
    except InvalidSignature:
        return False
    return True


def _is_chain(receipts: list[Receipt]) -> bool:
    previous = FIRST_PREVIOUS
    for number, receipt in enumerate(receipts, start=1):
        if receipt.sequence != number or receipt.previous_digest != previous or not is_signed(receipt):
            return False
        previous = receipt.digest()
    return True
