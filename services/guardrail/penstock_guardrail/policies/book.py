"""The book: which policy decides for whom, in memory, and never older than a second on any replica."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from sqlalchemy import Connection

from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies import store
from penstock_guardrail.policies.profile import Profile
from penstock_guardrail.policies.spec import Mode, Spec, audit_fields, policy_of
from penstock_guardrail.policies.store import Stored
from penstock_guardrail.policy import Policy
from penstock_guardrail.rules import Rules
from penstock_guardrail.store import Subject, VaultStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A policy that only says what it would decide; one that looks for other things searches texts by itself."""

    name: str
    rules: Rules
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Regime:
    """What decides for an organization, what shadows it, and where clauses of regulations are accounted for."""

    rules: Rules
    shadow: Shadow | None = None
    audit_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def shadow_rules(self) -> Rules | None:
        """Give what a shadow searches texts with, where that is something else than what decides."""
        return self.shadow.rules if self.shadow is not None and self.shadow.looks else None


class PolicyBook:
    """The policies in force."""

    def __init__(
        self, vault: VaultStore, keyring: Keyring, rules: Rules, profiles: Mapping[str, Profile]
    ) -> None:
        self._vault = vault
        self._keyring = keyring
        self._base = Regime(rules)
        self.profiles = profiles
        self._regimes: dict[str, Regime] = {}
        self._tick = 0

    def of(self, organization: str) -> Regime:
        """Give what decides for an organization."""
        return self._regimes.get(organization, self._base)

    def policy(self, spec: Spec) -> Policy:
        """Give the policy that an organization's own words make."""
        return policy_of(self._base.rules.policy, spec, self.profiles)

    async def refresh(self) -> None:
        """Learn what changed since the last time: policies, and persons who were erased.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        changes = await self._vault.read(partial(_changes, self._tick))
        if changes is None:
            return
        for subject in changes.erased:
            self._keyring.forget(subject)
        for organization in changes.organizations:
            self._bind(organization, [each for each in changes.in_force if each.organization == organization])
        self._tick = max(changes.tick, self._tick)

    async def refresh_for_ever(self, interval_seconds: float) -> None:
        """Learn again and again; while the store is down nothing can change."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.refresh()
            except ServiceError as error:
                log.warning("policies_not_read", reason=error.reason)

    def _bind(self, organization: str, policies: Iterable[Stored]) -> None:
        by_mode = {policy.mode: policy for policy in policies}
        regime, enforced, shadow = self._base, by_mode.get(Mode.ENFORCED), by_mode.get(Mode.SHADOW)
        if enforced is not None:
            policy = self.policy(enforced.spec)
            regime = Regime(
                regime.rules.under(policy), audit_fields=audit_fields(enforced.spec, self.profiles)
            )
        if shadow is not None:
            name = f"{shadow.name}@{shadow.revision}"
            rules = self._base.rules.under(self.policy(shadow.spec))
            looks = rules.looked_for != regime.rules.looked_for
            regime = replace(regime, shadow=Shadow(name, rules, looks))
        self._regimes[organization] = regime
        log.info("policy_bound", organization=organization, policy_version=regime.rules.version)


@dataclass(frozen=True, slots=True)
class _Changes:
    """What changed until a tick: the policies of some organizations, and persons who were erased."""

    tick: int
    organizations: Collection[str]
    in_force: Sequence[Stored]
    erased: Sequence[Subject]


def _changes(since: int, connection: Connection) -> _Changes | None:
    tick = store.now_tick(connection)
    if tick == since:
        return None
    organizations = store.changed_organizations(connection, since)
    erased = store.erased_subjects(connection, since)
    in_force = store.in_force(connection, sorted(organizations)) if organizations else []
    return _Changes(tick, organizations, in_force, erased)
