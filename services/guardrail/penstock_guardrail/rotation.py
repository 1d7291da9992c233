"""Rotation of the root key: organizations' keys are wrapped anew, under the current root key instead of the former.

What is sealed under an organization's key stays as it is, and so does the key that signs its audit log. Each list is a
transaction, and each row says which root key wraps it, so whoever dies midway leaves nothing half.
"""

from servicekit.logging import get_logger

from penstock_guardrail.keyring import signing_key, signing_place
from penstock_guardrail.root_key import RootKeys
from penstock_guardrail.sealing import key_id, seal, unseal
from penstock_guardrail.store import OrganizationKey, VaultStore

ORGANIZATIONS_MAX = 64

log = get_logger(__name__)


class Rotation:
    """Wraps anew."""

    def __init__(self, store: VaultStore, roots: RootKeys) -> None:
        self._store = store
        self._roots = roots

    async def advance(self, most: int = ORGANIZATIONS_MAX) -> int:
        """Wrap the keys of so many organizations at most anew; tell of how many.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        if self._roots.former is None:
            return 0
        former = key_id(self._roots.former)
        stored = await self._store.wrapped_by(former, most)
        if stored:
            await self._store.wrap_anew([self._wrapped(key) for key in stored], former)
            log.info("root_key_rotated", organizations=len(stored))
        return len(stored)

    def _wrapped(self, stored: OrganizationKey) -> OrganizationKey:
        former, current = self._roots.of(stored.root_key_id), self._roots.current
        key = unseal(former, stored.wrapped_key, stored.organization)
        signing = seal(current, signing_key(former, stored), signing_place(stored.organization))
        wrapped = seal(current, key, stored.organization)
        return OrganizationKey(stored.organization, key_id(current), wrapped, stored.create_time, signing)
