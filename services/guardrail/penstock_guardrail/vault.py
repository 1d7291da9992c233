"""The vault: what redaction replaced, sealed under a key of the session, itself wrapped by the person's.

Only the organization that put a value in, and only the user when the request was a user's, gets it out again.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from servicekit.logging import get_logger

from penstock_guardrail.keyring import Keyring
from penstock_guardrail.redaction import hashed, mint
from penstock_guardrail.sealing import SealBrokenError, derived_key, new_key, seal, unseal
from penstock_guardrail.store import RedactedValue, RedactionSession, VaultStore

SWEEP_SESSIONS_MAX = 1000

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who may have a value back."""

    organization: str
    user: str


@dataclass(frozen=True, slots=True)
class Deposit:
    """What one request puts in: pairs of type and value, in the order they occurred; and those that are hashed only."""

    principal: Principal
    values: Sequence[tuple[str, str]]
    hashed: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What it gets for them: a session, if there is something to restore, and what stands for each type and value."""

    session: str
    tokens: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Who wants the values of which session."""

    principal: Principal
    session: str


class Vault:
    """Put values in, get them out. After its lifetime a session is gone."""

    def __init__(
        self, store: VaultStore, keyring: Keyring, lifetime: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._lifetime = lifetime
        self._clock = clock

    async def deposit(self, deposits: Sequence[Deposit]) -> list[Receipt]:
        """Put the values of some requests in, in one transaction; give a receipt for each.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE). Nothing was kept.
        """
        keys = await self._keyring.persons({_person(deposit.principal) for deposit in deposits})
        organizations = await self._keyring.keys({deposit.principal.organization for deposit in deposits})
        sessions, values, receipts = [], [], []
        for deposit in deposits:
            key = keys[_person(deposit.principal)]
            hashes = hashed(
                derived_key(organizations[deposit.principal.organization], "hash"), deposit.hashed
            )
            if not deposit.values:
                receipts.append(Receipt("", hashes))
                continue
            tokens = mint(derived_key(key, "tokens"), deposit.values)
            session, session_key = self._new_session(key, deposit.principal)
            sessions.append(session)
            values += [_sealed(session, session_key, token, value) for (_, value), token in tokens.items()]
            receipts.append(Receipt(session.id, {**tokens, **hashes}))
        if sessions:
            await self._store.add_sessions(sessions, values)
        return receipts

    async def withdraw(self, withdrawals: Sequence[Withdrawal]) -> list[Mapping[str, str]]:
        """Give for each the values by token: none when the session is unknown, expired or another principal's.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        sessions, values = await self._store.sessions({w.session for w in withdrawals}, self._clock())
        keys = await self._keyring.persons({(session.organization, session.user) for session in sessions})
        by_id = {session.id: session for session in sessions}
        sealed: dict[str, list[RedactedValue]] = defaultdict(list)
        for value in values:
            sealed[value.session].append(value)
        return [
            _opened(session, keys[session.organization, session.user], sealed[w.session])
            if (session := by_id.get(w.session)) is not None and _may_open(w.principal, session)
            else {}
            for w in withdrawals
        ]

    async def sweep(self) -> int:
        """Delete what has expired, a bounded part of it; tell how many sessions."""
        return await self._store.delete_expired(self._clock(), SWEEP_SESSIONS_MAX)

    def _new_session(self, key: bytes, principal: Principal) -> tuple[RedactionSession, bytes]:
        session_id, session_key = f"rs_{secrets.token_urlsafe(16)}", new_key()
        wrapped = seal(key, session_key, f"{principal.organization}|{session_id}")
        expire_time = self._clock() + self._lifetime
        session = RedactionSession(session_id, principal.organization, principal.user, wrapped, expire_time)
        return session, session_key


def _person(principal: Principal) -> tuple[str, str]:
    return principal.organization, principal.user


def _sealed(session: RedactionSession, session_key: bytes, token: str, value: str) -> RedactedValue:
    return RedactedValue(session.id, token, seal(session_key, value.encode(), _place(session, token)))


def _opened(
    session: RedactionSession, person_key: bytes, values: Sequence[RedactedValue]
) -> Mapping[str, str]:
    """Open the values; when a seal is broken, none: their tokens stay in the text."""
    try:
        key = unseal(person_key, session.wrapped_key, f"{session.organization}|{session.id}")
        return {
            value.token: unseal(key, value.sealed_value, _place(session, value.token)).decode()
            for value in values
        }
    except SealBrokenError as error:
        log.error("seal_broken", place=str(error))  # noqa: TRY400 - the place says all
        return {}


def _place(session: RedactionSession, token: str) -> str:
    return f"{session.organization}|{session.id}|{token}"


def _may_open(principal: Principal, session: RedactionSession) -> bool:
    return principal.organization == session.organization and session.user in {"", principal.user}
