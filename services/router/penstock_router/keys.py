"""Managing API keys: made once with a secret that is shown once, listed, revoked."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from servicekit.context import new_request_id
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound
from sqlalchemy.exc import IntegrityError

from penstock_router.api_key import ApiKey
from penstock_router.identity import SECRET_PREFIX, secret_hash
from penstock_router.store import ApiKeyStore

SECRET_BYTES = 32
SHOWN_CHARACTERS = 8
PAGE_DEFAULT = 100
BOOTSTRAP_ID = "bootstrap"

Clock = Callable[[], datetime]


class ApiKeys:
    """The keys of all organizations."""

    def __init__(self, store: ApiKeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, wanted: ApiKey, request_id: str) -> tuple[ApiKey, str]:
        """Make a key and its secret; the same request again gives the same key and no secret.

        Raises:
            FailedPrecondition: the request id was used for another key (REQUEST_ID_REUSED).
        """
        fingerprint = sha256(repr(replace(wanted, id="", create_time=_EPOCH)).encode()).digest()
        secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        key = replace(
            wanted,
            id=new_request_id(),
            secret_prefix=secret[:SHOWN_CHARACTERS],
            create_time=self._clock(),
        )
        try:
            await self._store.insert(key, secret_hash(secret), request_id or None, fingerprint)
        except IntegrityError:
            return await self._repeated(key.organization, request_id, fingerprint), ""
        return key, secret

    async def get(self, organization: str, key_id: str) -> ApiKey:
        """Give a key.

        Raises:
            NotFound: there is none (RESOURCE_NOT_FOUND).
        """
        key = await self._store.find(organization, key_id)
        if key is None:
            name = f"organizations/{organization}/apiKeys/{key_id}"
            raise NotFound("RESOURCE_NOT_FOUND", "There is no such API key.", metadata={"name": name})
        return key

    async def list(self, organization: str, page_size: int, page_token: str) -> tuple[list[ApiKey], str]:
        """Give a page of keys, newest first, and the token of the next page."""
        size = page_size or PAGE_DEFAULT
        found = await self._store.list(organization, _read_token(page_token), size + 1)
        page = found[:size]
        return page, _write_token(page[-1]) if len(found) > size else ""

    async def revoke(self, organization: str, key_id: str) -> ApiKey:
        """End a key and give it.

        Raises:
            NotFound: there is none (RESOURCE_NOT_FOUND).
        """
        await self._store.revoke(organization, key_id, self._clock())
        return await self.get(organization, key_id)

    async def bootstrap(self, organization: str, secret: str) -> None:
        """Let in whoever set up the system: an admin key whose secret they chose."""
        key = ApiKey(
            organization=organization,
            id=f"{BOOTSTRAP_ID}-{secret_hash(secret).hex()[:12]}",
            secret_prefix=secret[:SHOWN_CHARACTERS],
            display_name="Bootstrap key from the environment",
            user="",
            team="",
            roles=("admin",),
            tier="",
            models=(),
            priority=0,
            create_time=self._clock(),
        )
        if await self._store.find(organization, key.id) is None:
            with suppress(IntegrityError):  # another replica, which starts beside us, was first
                await self._store.insert(key, secret_hash(secret), None, b"")

    async def _repeated(self, organization: str, request_id: str, fingerprint: bytes) -> ApiKey:
        found = await self._store.find_request(organization, request_id)
        if found is None or found[1] != fingerprint:
            raise FailedPrecondition(
                "REQUEST_ID_REUSED",
                "The request id was used for another key.",
                metadata={"request_id": request_id},
            )
        return found[0]


_EPOCH = datetime.fromtimestamp(0, UTC)


def _write_token(key: ApiKey) -> str:
    return urlsafe_b64encode(f"{key.create_time.isoformat()} {key.id}".encode()).decode()


def _read_token(token: str) -> tuple[datetime, str] | None:
    if not token:
        return None
    try:
        at, key_id = urlsafe_b64decode(token.encode()).decode().split(" ")
        return datetime.fromisoformat(at), key_id
    except ValueError as error:
        raise InvalidArgument(
            "INVALID_ARGUMENT", "page_token is not one of ours.", metadata={"field": "page_token"}
        ) from error
