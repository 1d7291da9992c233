"""The book: which policy decides for whom, in memory, and never older than a second on any replica."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies import store
from penstock_guardrail.policies.profile import Profile
from penstock_guardrail.policies.spec import Mode, Spec, audit_fields, policy_of
from penstock_guardrail.policies.store import Stored
from penstock_guardrail.policy import Policy
from penstock_guardrail.rules import Rules
from penstock_guardrail.store import VaultStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A policy that only says what it would decide."""

    name: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Regime:
    """What decides for an organization, what shadows it, and where clauses of regulations are accounted for."""

    rules: Rules
    shadow: Shadow | None = None
    audit_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
        async with self._vault.connect() as connection:
            tick = await store.now_tick(connection)
            if tick == self._tick:
                return
            changed = await store.changed_organizations(connection, self._tick)
            erased = await store.erased_subjects(connection, self._tick)
            found = await store.in_force(connection, sorted(changed)) if changed else []
        for subject in erased:
            self._keyring.forget(subject)
        for organization in changed:
            self._bind(organization, [policy for policy in found if policy.organization == organization])
        self._tick = max(tick, self._tick)

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
            regime = replace(regime, shadow=Shadow(name, self.policy(shadow.spec)))
        self._regimes[organization] = regime
        log.info("policy_bound", organization=organization, policy_version=regime.rules.version)
