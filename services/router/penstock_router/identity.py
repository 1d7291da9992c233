"""Who calls: an API key stands for a principal."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from servicekit import context as request_context
from servicekit.errors import PermissionDenied, Unauthenticated

SECRET_PREFIX = "psk_"  # noqa: S105 - what secrets begin with
SECRET_CHARACTERS_MAX = 128
KEYS_KEPT_MAX = 65_536

Metadata = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request is made, and what it may do."""

    organization: str
    api_key: str
    roles: tuple[str, ...]
    user: str = ""
    team: str = ""
    tier: str = ""
    models: tuple[str, ...] = ()
    priority: int = 0
    expire_time: datetime | None = None
    revoked: bool = False

    def require_organization(self, organization: str) -> None:
        """Raise PermissionDenied unless the principal belongs there."""
        if organization != self.organization:
            raise PermissionDenied(
                "PERMISSION_DENIED", "The API key belongs to another organization.", metadata={}
            )

    def require_role(self, role: str, operation: str) -> None:
        """Raise PermissionDenied unless the principal has the role."""
        if role not in self.roles:
            raise PermissionDenied(
                "PERMISSION_DENIED",
                f"{operation} needs the role {role!r}.",
                metadata={"role": ",".join(self.roles), "operation": operation},
            )


FindKey = Callable[[bytes], Awaitable[Principal | None]]


class Identity:
    """Turns the secret of a request into its principal.

    A key's state is read again after `seconds_max`, so a revoked key is refused on every replica within that time.
    """

    def __init__(self, find_key: FindKey, *, seconds_max: float) -> None:
        self._find_key = find_key
        self._seconds_max = seconds_max
        self._known: OrderedDict[bytes, tuple[float, Principal | None]] = OrderedDict()
        self._reading: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def authenticate(self, metadata: Metadata) -> Principal:
        """Give the principal of a call and write it into the call's context.

        Raises:
            Unauthenticated: no key, no such key, or a key that has ended (API_KEY_MISSING, _INVALID, _REVOKED).
            Unavailable: the keys cannot be read; never mistaken for a bad key (STORAGE_UNAVAILABLE).
        """
        principal = await self._find(secret_hash(_bearer(metadata)))
        if principal is None:
            raise Unauthenticated("API_KEY_INVALID", "The API key is not known.")
        expired = principal.expire_time is not None and principal.expire_time <= datetime.now(UTC)
        if principal.revoked or expired:
            raise Unauthenticated("API_KEY_REVOKED", "The API key was revoked or has expired.")
        request_context.enter(
            replace(
                request_context.current(),
                organization=principal.organization,
                user=principal.user,
                team=principal.team,
                api_key=principal.api_key,
                roles=principal.roles,
                tier=principal.tier,
                priority=principal.priority,
            )
        )
        return principal

    async def _find(self, digest: bytes) -> Principal | None:
        known = self._known.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        reading = self._reading.get(digest)
        if reading is None:  # all that ask for a key at once share one look into the store
            reading = self._reading[digest] = asyncio.create_task(self._read(digest))
            reading.add_done_callback(lambda _: self._reading.pop(digest))
        return await asyncio.shield(reading)

    async def _read(self, digest: bytes) -> Principal | None:
        now = time.monotonic()
        principal = await self._find_key(digest)
        self._known[digest] = (now + self._seconds_max, principal)
        self._known.move_to_end(digest)
        while len(self._known) > KEYS_KEPT_MAX:
            self._known.popitem(last=False)
        return principal


def secret_hash(secret: str) -> bytes:
    """Hash a secret for look-up. Secrets carry 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).digest()


def _bearer(metadata: Metadata) -> str:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            scheme, _, secret = value.partition(" ")
            secret = secret.strip()
            if scheme.lower() != "bearer" or not secret:
                raise Unauthenticated("API_KEY_MISSING", 'Send "authorization: Bearer <API key>".')
            if not secret.startswith(SECRET_PREFIX) or len(secret) > SECRET_CHARACTERS_MAX:
                raise Unauthenticated("API_KEY_INVALID", f'API keys begin with "{SECRET_PREFIX}".')
            return secret
    raise Unauthenticated(
        "API_KEY_MISSING", 'The request carries no API key: send "authorization: Bearer <API key>".'
    )
