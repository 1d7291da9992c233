"""Where policies are changed, each change a revision and an entry of the audit log in one transaction, and compared."""

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from penstock_guardrail.audit.entry import Entry, make_record, read_record, to_us
from penstock_guardrail.audit.log import AuditLog
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies import store
from penstock_guardrail.policies.book import PolicyBook
from penstock_guardrail.policies.replay import Replay
from penstock_guardrail.policies.spec import Differences, Mode, Spec, differences
from penstock_guardrail.policies.store import Stored
from penstock_guardrail.policy import Policy
from penstock_guardrail.store import VaultStore

_RETENTION_DAYS = 3660
# So many are read and decided again before others have their turn: a few milliseconds.
_PAGE_ENTRIES = 256

Change = Callable[[Connection], Stored]


class PolicyDesk:
    """Changes and shows policies. All raise Unavailable when the store does not answer (STORAGE_UNAVAILABLE)."""

    def __init__(
        self,
        vault: VaultStore,
        keyring: Keyring,
        log: AuditLog,
        book: PolicyBook,
        clock: Callable[[], datetime],
    ) -> None:
        self._vault = vault
        self._keyring = keyring
        self._log = log
        self._book = book
        self._clock = clock

    async def create(self, organization: str, policy_id: str, mode: Mode, spec: Spec) -> Stored:
        """Make a policy.

        Raises:
            AlreadyExists: there is one of that name (RESOURCE_EXISTS).
        """
        now_us = to_us(self._clock())
        policy = Stored(organization, policy_id, 1, mode, spec, now_us, now_us)
        return await self._change(organization, "create", lambda connection: store.create(connection, policy))

    async def update(self, organization: str, policy_id: str, mode: Mode, spec: Spec) -> Stored:
        """Replace what a policy says.

        Raises:
            NotFound: there is none of that name (RESOURCE_NOT_FOUND).
        """
        now_us = to_us(self._clock())
        policy = Stored(organization, policy_id, 0, mode, spec, now_us, now_us)
        return await self._change(organization, "update", lambda connection: store.update(connection, policy))

    async def delete(self, organization: str, policy_id: str) -> None:
        """End a policy.

        Raises:
            NotFound: there is none of that name (RESOURCE_NOT_FOUND).
        """
        await self._change(
            organization, "delete", lambda connection: store.delete(connection, organization, policy_id)
        )

    async def get(self, organization: str, policy_id: str, revision: int = 0) -> Stored:
        """Read a policy, or one of its revisions.

        Raises:
            NotFound: there is none of that name (RESOURCE_NOT_FOUND).
        """
        return await self._vault.read(
            lambda connection: store.get(connection, organization, policy_id, revision)
        )

    async def list_after(self, organization: str, after_id: str, most: int) -> list[Stored]:
        """Read the policies whose ids follow an id, in order."""
        return await self._vault.read(
            lambda connection: store.list_after(connection, organization, after_id, most)
        )

    async def diff(self, organization: str, policy_id: str) -> Differences:
        """Tell what would change if a policy decided instead of the one that does.

        Raises:
            NotFound: there is none of that name (RESOURCE_NOT_FOUND).
        """
        return differences(*await self._compared(organization, policy_id))

    async def replay(self, organization: str, policy_id: str, most: int) -> tuple[int, Replay]:
        """Decide the newest entries of the log again; give the position of the first, and what would change.

        Raises:
            NotFound: there is none of that name (RESOURCE_NOT_FOUND).
        """
        replay = Replay(*await self._compared(organization, policy_id))
        size = await self._log.size(organization)
        first = max(0, size - most)
        for start in range(first, size, _PAGE_ENTRIES):
            replay.read(await self._log.entries(organization, start, min(_PAGE_ENTRIES, size - start)))
        return first, replay

    async def _compared(self, organization: str, policy_id: str) -> tuple[Policy, Policy]:
        await self._book.refresh()
        candidate = await self.get(organization, policy_id)
        return self._book.of(organization).rules.policy, self._book.policy(candidate.spec)

    async def _change(self, organization: str, verb: str, change: Change) -> Stored:
        keys = await self._keyring.keys({organization})

        def change_within(connection: Connection) -> Stored:
            changed = change(connection)
            self._log.append_within([self._entry(changed, verb)], keys, connection)
            return changed

        changed = await self._vault.write(change_within)
        await self._book.refresh()
        return changed

    def _entry(self, changed: Stored, verb: str) -> Entry:
        record = make_record(
            "policy",
            entry_id=secrets.token_hex(16),
            time_us=to_us(self._clock()),
            retention_days=_RETENTION_DAYS,
            organization=changed.organization,
            user="",
            policy=changed.name,
            change=verb,
            revision=changed.revision,
            mode=changed.mode.name,
            says=changed.spec.model_dump(mode="json", exclude_defaults=True),
        )
        return read_record(record)
