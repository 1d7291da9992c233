"""Policies in their tables. Every function runs within the caller's transaction or connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from servicekit.errors import AlreadyExists, NotFound, ResourceExhausted

from penstock_guardrail.policies.spec import Mode, Spec
from penstock_guardrail.tables import change_clock, policies, policy_revisions, subject_keys

POLICIES_MAX = 256


@dataclass(frozen=True, slots=True)
class Stored:
    """A revision of a policy. Times are microseconds since the epoch."""

    organization: str
    policy_id: str
    revision: int
    mode: Mode
    spec: Spec
    create_us: int
    update_us: int

    @property
    def name(self) -> str:
        """Give its name (AIP-122)."""
        return _name(self.organization, self.policy_id)


def next_tick(connection: sa.Connection) -> int:
    """Move the clock of changes on, after all who did so before have ended."""
    moved = sa.update(change_clock).values(tick=change_clock.c.tick + 1).returning(change_clock.c.tick)
    tick: int = connection.execute(moved).scalar_one()
    return tick


def now_tick(connection: sa.Connection) -> int:
    """Read the clock of changes."""
    tick: int = connection.execute(sa.select(change_clock.c.tick)).scalar_one()
    return tick


def changed_organizations(connection: sa.Connection, since: int) -> set[str]:
    """Name the organizations whose policies changed after a tick."""
    query = sa.select(policies.c.organization).where(policies.c.tick > since).distinct()
    return set(connection.execute(query).scalars())


def erased_subjects(connection: sa.Connection, since: int) -> list[tuple[str, str]]:
    """Name the persons who were erased after a tick."""
    query = sa.select(subject_keys.c.organization, subject_keys.c.subject).where(subject_keys.c.tick > since)
    return [(row.organization, row.subject) for row in connection.execute(query)]


def in_force(connection: sa.Connection, organizations: Sequence[str]) -> list[Stored]:
    """Give the policies of some organizations that decide or shadow."""
    found = sa.select(policies).where(
        policies.c.organization.in_(organizations), policies.c.mode > 0, ~policies.c.deleted
    )
    return [_stored(row) for row in connection.execute(found)]


def create(connection: sa.Connection, policy: Stored) -> Stored:
    """Make a policy; one that was deleted goes on counting its revisions.

    Raises:
        AlreadyExists: there is one of that name (RESOURCE_EXISTS).
        ResourceExhausted: the organization has 256 already (OVERLOADED).
    """
    tick = next_tick(connection)
    former = connection.execute(sa.select(policies).where(*_is(policy))).first()
    if former is not None and not former.deleted:
        raise AlreadyExists("RESOURCE_EXISTS", "There is such a policy.", metadata={"name": policy.name})
    own = sa.select(sa.func.count()).where(policies.c.organization == policy.organization)
    if former is None and connection.execute(own).scalar_one() >= POLICIES_MAX:
        message = f"An organization has at most {POLICIES_MAX} policies."
        raise ResourceExhausted("OVERLOADED", message, metadata={"limit": str(POLICIES_MAX)})
    connection.execute(sa.delete(policies).where(*_is(policy)))
    made = _revised(policy, former.revision + 1 if former else 1, policy.create_us)
    connection.execute(policies.insert(), {**_row(made), "deleted": False, "tick": tick})
    _keep(connection, made, tick)
    return made


def update(connection: sa.Connection, policy: Stored) -> Stored:
    """Replace what a policy says.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    tick = next_tick(connection)
    former = get(connection, policy.organization, policy.policy_id)
    made = _revised(policy, former.revision + 1, former.create_us)
    connection.execute(sa.update(policies).where(*_is(policy)).values({**_row(made), "tick": tick}))
    _keep(connection, made, tick)
    return made


def delete(connection: sa.Connection, organization: str, policy_id: str) -> Stored:
    """End a policy.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    tick = next_tick(connection)
    former = get(connection, organization, policy_id)
    ended = sa.update(policies).where(*_is(former)).values(mode=int(Mode.DRAFT), deleted=True, tick=tick)
    connection.execute(ended)
    return former


def get(connection: sa.Connection, organization: str, policy_id: str, revision: int = 0) -> Stored:
    """Read a policy, or one of its revisions.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    table = policy_revisions if revision else policies
    query = sa.select(table).where(table.c.organization == organization, table.c.policy_id == policy_id)
    only = policy_revisions.c.revision == revision if revision else ~policies.c.deleted
    row = connection.execute(query.where(only)).first()
    if row is None:
        name = _name(organization, policy_id)
        raise NotFound("RESOURCE_NOT_FOUND", "There is no such policy.", metadata={"name": name})
    return _stored(row)


def list_after(connection: sa.Connection, organization: str, after_id: str, most: int) -> list[Stored]:
    """Read the policies whose ids follow an id, in order."""
    query = sa.select(policies).where(
        policies.c.organization == organization, policies.c.policy_id > after_id, ~policies.c.deleted
    )
    rows = connection.execute(query.order_by(policies.c.policy_id).limit(most))
    return [_stored(row) for row in rows]


def _keep(connection: sa.Connection, made: Stored, tick: int) -> None:
    """Keep the revision; what decided or shadowed before becomes a draft."""
    connection.execute(policy_revisions.insert(), _row(made))
    if made.mode is not Mode.DRAFT:
        others = sa.update(policies).where(
            policies.c.organization == made.organization,
            policies.c.policy_id != made.policy_id,
            policies.c.mode == int(made.mode),
        )
        connection.execute(others.values(mode=int(Mode.DRAFT), tick=tick))


def _revised(policy: Stored, revision: int, create_us: int) -> Stored:
    organization, policy_id = policy.organization, policy.policy_id
    return Stored(organization, policy_id, revision, policy.mode, policy.spec, create_us, policy.update_us)


def _is(policy: Stored) -> tuple[Any, Any]:
    return policies.c.organization == policy.organization, policies.c.policy_id == policy.policy_id


def _row(policy: Stored) -> dict[str, Any]:
    return {
        "organization": policy.organization,
        "policy_id": policy.policy_id,
        "revision": policy.revision,
        "mode": int(policy.mode),
        "spec": policy.spec.model_dump_json(exclude_defaults=True),
        "create_us": policy.create_us,
        "update_us": policy.update_us,
    }


def _stored(row: Any) -> Stored:
    spec = Spec.model_validate_json(row.spec)
    mode = Mode(row.mode)
    return Stored(row.organization, row.policy_id, row.revision, mode, spec, row.create_us, row.update_us)


def _name(organization: str, policy_id: str) -> str:
    return f"organizations/{organization}/policies/{policy_id}"
