"""The room an answer is kept in, and the key of an answer in it. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

from penstock_cache.entry import Label

KEY_BYTES = 32
ROOT_SECRET_BYTES = 32
TENANT_NAME_CHARACTERS = 32

# All go into what is hashed, so that keys of another kind or another encoding never meet these.
_TENANT = b"penstock tenant"
_ROOM = b"penstock room 1"
_ANSWER = b"penstock answer"


class SharingScope(IntEnum):
    """Who shares answers; the numbers of penstock.cache.v1.SharingScope."""

    USER = 1
    TEAM = 2
    ORGANIZATION = 3


@dataclass(frozen=True, slots=True)
class Partition:
    """Everything that two requests must have in common to share an answer, but the conversation."""

    organization: str
    scope: int
    scope_id: str
    operation: str
    model: str
    conditions_digest: bytes
    instructions_digest: bytes
    locale: str
    policy_version: str
    prompt_version: str


@dataclass(frozen=True, slots=True)
class Room:
    """A partition with the secret that the keys of its answers are made under, and what it may be forgotten by.

    The secret is itself made under that of the organization, so a key of one room is never one of another, and without
    the root secret a key can neither be made nor be linked to what it stands for.
    """

    partition: Partition
    secret: bytes
    labels: frozenset[Label]

    def key(self, conversation_digest: bytes) -> bytes:
        """Make the key of an answer, 32 bytes: keyed BLAKE2b (RFC 7693) of the conversation's SHA-256."""
        return _derive(conversation_digest, self.secret, _ANSWER)


@dataclass(frozen=True, slots=True)
class RoomKeys:
    """Makes the rooms of an installation from its root secret of 32 random bytes."""

    root_secret: bytes

    def tenant_secret(self, organization: str) -> bytes:
        """Derive the secret that everything of an organization is made under, 32 bytes."""
        return _derive(organization.encode(), self.root_secret, _TENANT)

    def tenant_name(self, organization: str) -> str:
        """Name an organization to a store that need not know it."""
        return _derive(b"", self.tenant_secret(organization), _TENANT).hex()[:TENANT_NAME_CHARACTERS]

    def room(self, partition: Partition) -> Room:
        """Give the room of a partition; two rooms have equal secrets only if every field is equal."""
        tenant = self.tenant_secret(partition.organization)
        return Room(partition, _derive(_encode(partition), tenant, _ROOM), _labels(partition))


def _derive(text: bytes, secret: bytes, purpose: bytes) -> bytes:
    return blake2b(text, key=secret, person=purpose, digest_size=KEY_BYTES).digest()


def _encode(of: Partition) -> bytes:
    """Write digests of 32 bytes, then the fields of free length as netstrings: no choice of values is ambiguous."""
    digests = of.conditions_digest + of.instructions_digest
    assert len(digests) == 2 * 32
    texts = (of.scope_id, of.operation, of.model, of.locale, of.policy_version, of.prompt_version)
    return digests + f"{of.scope:d},{''.join(f'{len(text)}:{text},' for text in texts)}".encode()


def _labels(partition: Partition) -> frozenset[Label]:
    labels: set[Label] = {("model", partition.model)}
    if partition.prompt_version:
        labels.add(("prompt_version", partition.prompt_version))
    if partition.scope == SharingScope.USER:
        labels.add(("user", partition.scope_id))
    return frozenset(labels)
