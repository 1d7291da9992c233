"""The keys of organizations and of persons: made at first use, kept wrapped, unwrapped in memory.

The root key wraps the organizations' keys, an organization's key those of its persons. Who destroys a person's wrapped
key destroys all that is sealed under it.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from penstock_guardrail.root_key import RootKeyError, RootKeys
from penstock_guardrail.sealing import derived_key, key_id, new_key, seal, unseal
from penstock_guardrail.store import (
    OrganizationKey,
    Subject,
    SubjectKey,
    VaultStore,
    add_subject_keys,
    find_subject_keys,
)

_CACHED_KEYS_MAX = 4096
_SUBJECT_HEX_DIGITS = 32

Name = TypeVar("Name")
Known = TypeVar("Known")


class _Organization(NamedTuple):
    """The keys of an organization."""

    key: bytes
    signing_key: bytes


class _Person(NamedTuple):
    """A person's key, wrapped as it is kept, and unwrapped."""

    wrapped_key: bytes
    key: bytes


class Keyring:
    """Give each organization and each person their key."""

    def __init__(self, store: VaultStore, roots: RootKeys, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._roots = roots
        self._clock = clock
        self._cached: dict[str, _Organization] = {}
        self._persons: dict[Subject, _Person] = {}
        self._subjects: dict[tuple[str, str], Subject] = {}

    async def check_root_key(self) -> None:
        """Make sure that all root keys that the store was written with are known.

        Raises:
            RootKeyError: one is not.
        """
        unknown = await self._store.root_key_ids() - self._roots.ids
        if unknown:
            raise RootKeyError(
                f"the vault was written with root key {min(unknown)}, this is {key_id(self._roots.current)}: "
                "set PENSTOCK_GUARDRAIL_ROOT_KEY_FILE, or PENSTOCK_GUARDRAIL_FORMER_ROOT_KEY_FILE while the key "
                "is rotated, to the file that holds the former"
            )

    async def keys(self, organizations: Collection[str]) -> Mapping[str, bytes]:
        """Give the keys of some organizations.

        Raises:
            Unavailable: a key is not in memory and the store does not answer (STORAGE_UNAVAILABLE).
        """
        return {name: found.key for name, found in (await self._opened(organizations)).items()}

    async def signing_key(self, organization: str) -> bytes:
        """Give the key that signs the audit log of an organization: the same whatever the root key.

        Raises:
            Unavailable: it is not in memory and the store does not answer (STORAGE_UNAVAILABLE).
        """
        return (await self._opened({organization}))[organization].signing_key

    async def _opened(self, organizations: Collection[str]) -> Mapping[str, "_Organization"]:
        found = {name: self._cached[name] for name in organizations if name in self._cached}
        missing = set(organizations) - found.keys()
        if missing:
            loaded = {stored.organization: self._unwrapped(stored) for stored in await self._load(missing)}
            _remember(self._cached, loaded)
            found |= loaded
        return found

    def _unwrapped(self, stored: OrganizationKey) -> "_Organization":
        root = self._roots.of(stored.root_key_id)
        key = unseal(root, stored.wrapped_key, stored.organization)
        return _Organization(key, signing_key(root, stored))

    async def persons(self, persons: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bytes]:
        """Give the keys of some persons, each named by organization and user.

        Raises:
            Unavailable: a key is not in memory and the store does not answer (STORAGE_UNAVAILABLE).
        """
        organizations = await self.keys({organization for organization, _ in persons})
        subjects = {person: self.subject(organizations[person[0]], person) for person in persons}
        known = {subject: self._persons.get(subject) for subject in subjects.values()}
        opened = {subject: person.key for subject, person in known.items() if person is not None}
        if missing := known.keys() - opened.keys():
            stored = await self._store.write(partial(self.of_subjects, missing, organizations))
            opened |= {
                subject: key
                for subject, wrapped in stored.items()
                if (key := self.opened(organizations[subject[0]], wrapped)) is not None
            }
        return {person: opened[subject] for person, subject in subjects.items() if subject in opened}

    def of_subjects(
        self, subjects: Collection[Subject], organizations: Mapping[str, bytes], connection: Connection
    ) -> Mapping[Subject, SubjectKey]:
        """Give the wrapped keys of persons within a transaction; make those that are not there."""
        found = find_subject_keys(connection, set(subjects))
        fresh = [
            SubjectKey(*subject, seal(organizations[subject[0]], new_key(), _place(subject)))
            for subject in sorted(set(subjects))
            if subject not in found or found[subject].wrapped_key is None
        ]
        if not fresh:
            return found
        add_subject_keys(connection, fresh)
        # Another replica may have been first, then its keys are the ones.
        return find_subject_keys(connection, set(subjects))

    def subject(self, organization_key: bytes, person: tuple[str, str]) -> Subject:
        """Give the name that a person has in tables: nobody can tell whose it is without the organization's key."""
        subject = self._subjects.get(person)
        if subject is None:
            organization, user = person
            subject = (
                organization,
                derived_key(organization_key, f"subject|{user}").hex()[:_SUBJECT_HEX_DIGITS],
            )
            _remember(self._subjects, {person: subject})
        return subject

    def opened(self, organization_key: bytes, key: SubjectKey) -> bytes | None:
        """Unwrap a person's key; None when it was destroyed."""
        if key.wrapped_key is None:
            return None
        subject = (key.organization, key.subject)
        known = self._persons.get(subject)
        if known is None or known.wrapped_key != key.wrapped_key:
            known = _Person(key.wrapped_key, unseal(organization_key, key.wrapped_key, _place(subject)))
            _remember(self._persons, {subject: known})
        return known.key

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
        root = self._roots.current
        wrapped = seal(root, new_key(), organization)
        return OrganizationKey(organization, key_id(root), wrapped, self._clock())


def signing_key(root_key: bytes, stored: OrganizationKey) -> bytes:
    """Unwrap the key that signs an organization's audit log, or derive it where it was never wrapped."""
    if stored.wrapped_signing_key is None:
        return derived_key(root_key, f"audit|{stored.organization}")
    return unseal(root_key, stored.wrapped_signing_key, signing_place(stored.organization))


def signing_place(organization: str) -> str:
    """Name what a wrapped signing key is bound to."""
    return f"{organization}|signing"


def _remember(cached: dict[Name, Known], found: Mapping[Name, Known]) -> None:
    if len(cached) + len(found) > _CACHED_KEYS_MAX:
        cached.clear()
    cached.update(found)


def _place(subject: Subject) -> str:
    return "|".join(subject)
