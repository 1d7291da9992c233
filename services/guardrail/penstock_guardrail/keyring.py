"""The keys of organizations and of persons: made at first use, kept wrapped, unwrapped in memory.

The root key wraps the organizations' keys, an organization's key those of its persons. Who destroys a person's wrapped
key destroys all that is sealed under it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_guardrail.root_key import RootKeyError
from penstock_guardrail.sealing import derived_key, key_id, new_key, seal, unseal
from penstock_guardrail.store import OrganizationKey, Subject, SubjectKey, VaultStore

_CACHED_KEYS_MAX = 4096
_SUBJECT_HEX_DIGITS = 32

Named = TypeVar("Named", str, Subject)


class Keyring:
    """Give each organization and each person their key."""

    def __init__(self, store: VaultStore, root_key: bytes, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._root_key = root_key
        self._clock = clock
        self._cached: dict[str, bytes] = {}
        self._persons: dict[Subject, bytes] = {}

    async def check_root_key(self) -> None:
        """Make sure that the root key is the one the store was written with.

        Raises:
            RootKeyError: it is another.
        """
        ours = key_id(self._root_key)
        others = await self._store.root_key_ids() - {ours}
        if others:
            raise RootKeyError(
                f"the vault was written with root key {min(others)}, this is {ours}: "
                "set PENSTOCK_GUARDRAIL_ROOT_KEY_FILE to the file that holds the former"
            )

    async def keys(self, organizations: Collection[str]) -> Mapping[str, bytes]:
        """Give the keys of some organizations.

        Raises:
            Unavailable: a key is not in memory and the store does not answer (STORAGE_UNAVAILABLE).
        """
        keys = {name: self._cached[name] for name in organizations if name in self._cached}
        missing = set(organizations) - keys.keys()
        if missing:
            loaded = {
                stored.organization: unseal(self._root_key, stored.wrapped_key, stored.organization)
                for stored in await self._load(missing)
            }
            _remember(self._cached, loaded)
            keys |= loaded
        return keys

    async def persons(self, persons: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bytes]:
        """Give the keys of some persons, each named by organization and user.

        Raises:
            Unavailable: a key is not in memory and the store does not answer (STORAGE_UNAVAILABLE).
        """
        organizations = await self.keys({organization for organization, _ in persons})
        subjects = {person: self.subject(organizations[person[0]], person) for person in persons}
        missing = [subject for subject in subjects.values() if subject not in self._persons]
        if not missing:
            return {person: self._persons[subject] for person, subject in subjects.items()}
        async with self._store.transaction() as connection:
            stored = await self.of_subjects(connection, missing, organizations)
        loaded = {
            subject: opened
            for subject, key in stored.items()
            if (opened := self.opened(organizations[subject[0]], key)) is not None
        }
        found = {person: loaded.get(name) or self._persons[name] for person, name in subjects.items()}
        _remember(self._persons, loaded)
        return found

    async def of_subjects(
        self, connection: AsyncConnection, subjects: Sequence[Subject], organizations: Mapping[str, bytes]
    ) -> Mapping[Subject, SubjectKey]:
        """Give the wrapped keys of persons within a transaction; make those that are not there."""
        fresh = [
            SubjectKey(*subject, seal(organizations[subject[0]], new_key(), _place(subject)))
            for subject in sorted(set(subjects))
        ]
        return await self._store.keep_subject_keys(connection, fresh)

    def subject(self, organization_key: bytes, person: tuple[str, str]) -> Subject:
        """Give the name that a person has in tables: nobody can tell whose it is without the organization's key."""
        organization, user = person
        return organization, derived_key(organization_key, f"subject|{user}").hex()[:_SUBJECT_HEX_DIGITS]

    def opened(self, organization_key: bytes, key: SubjectKey) -> bytes | None:
        """Unwrap a person's key; None when it was destroyed."""
        if key.wrapped_key is None:
            return None
        return unseal(organization_key, key.wrapped_key, _place((key.organization, key.subject)))

    def forget(self, subject: Subject) -> None:
        """Forget the key of a person, who was erased."""
        self._persons.pop(subject, None)

    async def _load(self, organizations: set[str]) -> list[OrganizationKey]:
        stored = await self._store.organization_keys(organizations)
        new = organizations - {key.organization for key in stored}
        if not new:
            return stored
        await self._store.add_organization_keys([self._new(organization) for organization in sorted(new)])
        # Another replica may have been first, then its keys are the ones.
        return await self._store.organization_keys(organizations)

    def _new(self, organization: str) -> OrganizationKey:
        wrapped = seal(self._root_key, new_key(), organization)
        return OrganizationKey(organization, key_id(self._root_key), wrapped, self._clock())


def _remember(cached: dict[Named, bytes], keys: Mapping[Named, bytes]) -> None:
    if len(cached) + len(keys) > _CACHED_KEYS_MAX:
        cached.clear()
    cached.update(keys)


def _place(subject: Subject) -> str:
    return "|".join(subject)
