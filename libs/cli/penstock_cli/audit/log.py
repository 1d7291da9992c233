"""What is verified of a log: its checkpoint, that it only grew, its entries, and receipts of erasures."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_cli.audit.note import Checkpoint, Note, Verifier
from penstock_cli.audit.proof import (
    ProofError,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as the log gives it; without record and salt its content is gone."""

    index: int
    leaf_hash: bytes
    record: bytes
    salt: bytes
    is_damaged: bool = False

    @classmethod
    def parse(cls, entry: Json) -> "Entry":
        """Read an entry's JSON."""
        leaf, record, salt = (
            base64.b64decode(entry.get(name, "")) for name in ("leaf_hash", "record", "salt")
        )
        return cls(entry.get("index", 0), leaf, record, salt, entry.get("damaged", False))


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be true."""

    checkpoint: Checkpoint
    entries: int
    readable: int


def open_checkpoint(content: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """Read a checkpoint that all these have signed; the first of them is the log's own key.

    Raises:
        ProofError: one has not, or the checkpoint is another log's.
    """
    note, (own, *witnesses) = Note.parse(content), verifiers
    for verifier in (own, *witnesses):
        verifier.verify(note)
    checkpoint = Checkpoint.of(note)
    if checkpoint.origin != own.name:
        raise ProofError(f"the checkpoint is of {checkpoint.origin}, not of {own.name}")
    return checkpoint


def verify_entries(checkpoint: Checkpoint, entries: Iterable[Entry]) -> Verified:
    """Verify that these are the entries of a log, without a gap, and that what can be read is what was written.

    Raises:
        ProofError: something was changed, left out or put in; the message says where.
    """
    leaves, readable = [], 0
    for position, entry in enumerate(entries):
        if entry.index != position:
            raise ProofError(f"entry {position} is missing")
        if position >= checkpoint.size:
            break
        if entry.is_damaged:
            raise ProofError(f"the content of entry {position} was changed in the store")
        if entry.salt or entry.record:
            readable += 1
            if leaf_hash(entry.record, entry.salt) != entry.leaf_hash:
                raise ProofError(f"entry {position} was changed")
        leaves.append(entry.leaf_hash)
    if len(leaves) < checkpoint.size:
        raise ProofError(f"the log ends after {len(leaves)} of {checkpoint.size} entries")
    if root_of(leaves) != checkpoint.root:
        raise ProofError("the entries are not those of the checkpoint")
    return Verified(checkpoint, len(leaves), readable)


def verify_growth(
    before: Checkpoint, after: Checkpoint, prove: Callable[[int, int], Sequence[bytes]]
) -> None:
    """Verify that a log only grew between two checkpoints.

    Raises:
        ProofError: it did not.
    """
    if before.size == 0:
        return
    proof = prove(before.size, after.size) if before.size < after.size else []
    verify_consistency((before.size, before.root), (after.size, after.root), proof)


def verify_receipt(receipt: Json, key: Verifier) -> Checkpoint:
    """Verify the receipt of an erasure: the entry that says so is in a signed log.

    Raises:
        ProofError: it is not.
    """
    checkpoint = open_checkpoint(receipt["checkpoint"], [key])
    entry = Entry.parse(receipt["entry"])
    if leaf_hash(entry.record, entry.salt) != entry.leaf_hash:
        raise ProofError("the entry of the receipt was changed")
    proof = [base64.b64decode(node) for node in receipt.get("inclusion_proof", [])]
    verify_inclusion(entry.leaf_hash, entry.index, checkpoint.size, proof, checkpoint.root)
    return checkpoint
