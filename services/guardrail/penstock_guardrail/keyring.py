"""The keys of organizations: made at first use, kept wrapped by the root key, unwrapped in memory."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from penstock_guardrail.root_key import RootKeyError
from penstock_guardrail.sealing import key_id, new_key, seal, unseal
from penstock_guardrail.store import OrganizationKey, VaultStore

_CACHED_KEYS_MAX = 4096


class Keyring:
    """Give each organization its key."""

    def __init__(self, store: VaultStore, root_key: bytes, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._root_key = root_key
        self._clock = clock
        self._cached: dict[str, bytes] = {}

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
            self._remember(loaded)
            keys |= loaded
        return keys

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

    def _remember(self, keys: Mapping[str, bytes]) -> None:
        if len(self._cached) + len(keys) > _CACHED_KEYS_MAX:
            self._cached.clear()
        self._cached.update(keys)
