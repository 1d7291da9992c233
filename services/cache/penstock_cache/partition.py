"""The room an answer is kept in, and the key of an answer in it. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b

KEY_BYTES = 32
ROOT_SECRET_BYTES = 32

# Both go into what is hashed, so that keys of another kind or another encoding never meet these.
_TENANT = b"penstock tenant"
_ENCODING = b"1"


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


@lru_cache(maxsize=1024)  # pure, and asked for with every key
def tenant_secret(root_secret: bytes, organization: str) -> bytes:
    """Derive the secret that all keys of an organization are made under: keyed BLAKE2b (RFC 7693)."""
    return blake2b(organization.encode(), key=root_secret, person=_TENANT, digest_size=KEY_BYTES).digest()


def answer_key(root_secret: bytes, partition: Partition, conversation_digest: bytes) -> bytes:
    """Make the key of an answer: keyed BLAKE2b under its organization's secret, 32 bytes.

    Two keys are equal only if the organization, every field of the partition and the conversation are.
    Without the root secret a key can neither be made nor be linked to what it stands for.

    Args:
        root_secret: 32 random bytes of this installation.
        partition: digests of 32 bytes.
        conversation_digest: SHA-256 of the whole conversation, 32 bytes.
    """
    digests = partition.conditions_digest + partition.instructions_digest + conversation_digest
    assert len(digests) == 3 * 32
    secret = tenant_secret(root_secret, partition.organization)
    return blake2b(digests + _encode(partition), key=secret, person=_ENCODING, digest_size=KEY_BYTES).digest()


def _encode(of: Partition) -> bytes:
    """Write the fields of free length as netstrings, which no choice of values can make ambiguous."""
    return (
        f"{of.scope:d},{len(of.scope_id)}:{of.scope_id},{len(of.operation)}:{of.operation},"
        f"{len(of.model)}:{of.model},{len(of.locale)}:{of.locale},"
        f"{len(of.policy_version)}:{of.policy_version},{len(of.prompt_version)}:{of.prompt_version},"
    ).encode()
