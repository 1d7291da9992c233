"""The audit log: append what was decided, show it, prove that it only grew.

The row of a log is locked while it grows, so that replicas append one after the other: no hole and no fork. What is in
an entry is sealed under the key of the person it is about; what is in the tree is a commitment, so it proves the same
after the person's key is gone.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from servicekit.errors import InvalidArgument
from servicekit.logging import get_logger
from sqlalchemy import Connection

from penstock_guardrail.audit import store
from penstock_guardrail.audit.entry import Entry
from penstock_guardrail.audit.merkle import Frontier, Node, consistency, inclusion, leaf_hash
from penstock_guardrail.audit.signing import Signer
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.sealing import SealBrokenError, seal, unseal
from penstock_guardrail.store import Subject, SubjectKey, VaultStore, find_subject_keys

_SALT_BYTES = 32
TRANSACTION_ENTRIES_MAX = 512

Keys = Mapping[str, bytes]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as it can be read: without record and salt when it was erased, its time is over, or it is damaged."""

    index: int
    leaf_hash: bytes
    record: bytes = b""
    salt: bytes = b""
    is_damaged: bool = False


class AuditLog:
    """The logs of all organizations."""

    def __init__(self, vault: VaultStore, keyring: Keyring) -> None:
        self._vault = vault
        self._keyring = keyring

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append entries, many in one transaction; those that are there already are left out.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE). Perhaps not all were appended: do it again.
        """
        for at in range(0, len(entries), TRANSACTION_ENTRIES_MAX):
            some = entries[at : at + TRANSACTION_ENTRIES_MAX]
            keys = await self._keyring.keys({entry.organization for entry in some})
            await self._vault.write(partial(self.append_within, some, keys))

    def append_within(
        self, entries: Sequence[Entry], keys: Keys, connection: Connection
    ) -> Mapping[str, Frontier]:
        """Append entries within a transaction of the caller's; give the trees as they are then."""
        if not entries:
            return {}
        organizations = sorted({entry.organization for entry in entries})
        trees = store.locked(connection, organizations)
        there = store.known(connection, organizations, {entry.id for entry in entries})
        fresh = {place: entry for entry in entries if (place := (entry.organization, entry.id)) not in there}
        if not fresh:
            return trees
        subjects = [self._subject(entry, keys) for entry in fresh.values()]
        persons = self._keyring.of_subjects(subjects, keys, connection)
        opened = {name: self._keyring.opened(keys[name[0]], key) for name, key in persons.items()}
        rows: list[store.EntryRow] = []
        nodes: list[Mapping[str, Any]] = []
        for entry, subject in zip(fresh.values(), subjects, strict=True):
            leaf, sealed = _committed(entry, persons[subject], opened[subject])
            tree = trees[entry.organization]
            rows.append(
                store.EntryRow(
                    entry.organization, tree.size, entry.id, leaf, subject[1], sealed, entry.expire_us
                )
            )
            nodes += [_node(entry.organization, node, root) for node, root in tree.append(leaf)]
        store.add(connection, rows, nodes, trees)
        return trees

    async def size(self, organization: str) -> int:
        """Give the number of entries of a log."""
        return (await self._vault.read(lambda connection: store.frontier(connection, organization))).size

    async def checkpoint(self, organization: str) -> tuple[int, str]:
        """Give the size of a log and a signed checkpoint of it."""
        tree = await self._vault.read(lambda connection: store.frontier(connection, organization))
        return tree.size, await self.signed(organization, tree)

    async def checkpoint_at(self, organization: str, size: int) -> str:
        """Give the signed checkpoint of a log as it was when it had so many entries.

        Raises:
            InvalidArgument: the log has not that size (INVALID_ARGUMENT).
        """
        (root,) = await self._proof(organization, [(0, size)], size)
        return (await self._signer(organization)).sign(size, root)

    async def signed(self, organization: str, tree: Frontier) -> str:
        """Sign a tree."""
        return (await self._signer(organization)).sign(tree.size, tree.root)

    async def verifier_key(self, organization: str) -> str:
        """Give the key that the checkpoints of a log are verified with."""
        return (await self._signer(organization)).verifier_key

    async def _signer(self, organization: str) -> Signer:
        return Signer(organization, await self._keyring.signing_key(organization))

    async def entries(self, organization: str, start: int, most: int) -> list[Shown]:
        """Give entries, in order, without gaps."""
        keys = await self._keyring.keys({organization})

        def find(connection: Connection) -> tuple[Sequence[Any], Mapping[Subject, SubjectKey]]:
            rows = store.page(connection, organization, start, most)
            names = {(organization, row.subject) for row in rows}
            return rows, find_subject_keys(connection, names) if names else {}

        rows, persons = await self._vault.read(find)
        return [
            self._shown(row, keys[organization], persons.get((organization, row.subject))) for row in rows
        ]

    def _shown(self, row: Any, organization_key: bytes, person: SubjectKey | None) -> Shown:
        """Show an entry; what was tampered with hides no other one."""
        if row.sealed is None or person is None:
            return Shown(row.entry_index, row.leaf_hash)
        try:
            key = self._keyring.opened(organization_key, person)
            opened = None if key is None else unseal(key, row.sealed, _place(row.organization, row.entry_id))
        except SealBrokenError as error:
            log.error("seal_broken", place=str(error))  # noqa: TRY400 - the place says all
            return Shown(row.entry_index, row.leaf_hash, is_damaged=True)
        if opened is None:
            return Shown(row.entry_index, row.leaf_hash)
        return Shown(row.entry_index, row.leaf_hash, opened[_SALT_BYTES:], opened[:_SALT_BYTES])

    async def inclusion_proof(self, organization: str, index: int, size: int) -> list[bytes]:
        """Prove that an entry is in the tree of a size.

        Raises:
            InvalidArgument: the log has not that size, or the tree not that entry (INVALID_ARGUMENT).
        """
        if index >= size:
            raise _beyond("index")
        return await self._proof(organization, inclusion(index, size), size)

    async def consistency_proof(self, organization: str, first: int, second: int) -> list[bytes]:
        """Prove that the tree of a size begins with that of a smaller one.

        Raises:
            InvalidArgument: the log has not these sizes, or the first is the larger (INVALID_ARGUMENT).
        """
        if first > second:
            raise _beyond("first_size")
        return await self._proof(organization, consistency(first, second), second)

    async def _proof(self, organization: str, ranges: list[store.Leaves], size: int) -> list[bytes]:
        def find(connection: Connection) -> list[bytes]:
            if size > store.frontier(connection, organization).size:
                raise _beyond("tree_size")
            return store.roots(connection, organization, ranges)

        return await self._vault.read(find)

    def _subject(self, entry: Entry, keys: Keys) -> Subject:
        return self._keyring.subject(keys[entry.organization], (entry.organization, entry.user))


def _committed(entry: Entry, person: SubjectKey, key: bytes | None) -> tuple[bytes, bytes | None]:
    """Give the leaf of an entry, and what it commits to, sealed; nothing of what an erased person did before."""
    salt = secrets.token_bytes(_SALT_BYTES)
    leaf = leaf_hash(hmac.digest(salt, entry.record, "sha256"))
    if key is None or entry.time_us <= person.erase_us:
        return leaf, None
    return leaf, seal(key, salt + entry.record, _place(entry.organization, entry.id))


def _node(organization: str, node: Node, root: bytes) -> Mapping[str, Any]:
    return {"organization": organization, "level": node.level, "node_index": node.index, "hash": root}


def _place(organization: str, entry_id: str) -> str:
    return f"audit|{organization}|{entry_id}"


def _beyond(field: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", "The log is not that long.", metadata={"field": field})
