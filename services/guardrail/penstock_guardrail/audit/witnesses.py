"""What witnesses signed is kept with the log, so that who reads the log finds it there."""

from dataclasses import asdict, dataclass
from functools import partial

import sqlalchemy as sa
from servicekit.errors import InvalidArgument

from penstock_guardrail.audit import store
from penstock_guardrail.audit.cosignature import NotCosignedError, Witness, size_of
from penstock_guardrail.audit.log import AuditLog
from penstock_guardrail.audit.signing import verified
from penstock_guardrail.store import VaultStore
from penstock_guardrail.tables import audit_cosignatures as _cosignatures

WITNESSES_MAX = 16


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint of so many entries that a witness signed."""

    witness_key: str
    size: int
    checkpoint: str


class Witnesses:
    """The witnesses of all logs."""

    def __init__(self, vault: VaultStore, log: AuditLog) -> None:
        self._vault = vault
        self._log = log

    async def of(self, organization: str) -> list[Cosigned]:
        """Give the newest of each witness."""
        return await self._vault.read(lambda connection: _of(connection, organization))

    async def keep(self, organization: str, witness_key: str, cosigned: str) -> Cosigned:
        """Keep a checkpoint if it is newer than the one of the witness that is kept; give the newest.

        Raises:
            InvalidArgument: it is not one of this log, or not signed by the witness, or of one witness too many
                (INVALID_ARGUMENT).
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        given = await self._checked(organization, witness_key, cosigned)
        return await self._vault.write(partial(_kept, organization, given))

    async def _checked(self, organization: str, witness_key: str, cosigned: str) -> Cosigned:
        try:
            size = size_of(cosigned)
            own = await self._log.checkpoint_at(organization, size)
            Witness.parse(witness_key).check(cosigned, own, verified)
        except NotCosignedError as error:
            raise _invalid("checkpoint", str(error)) from error
        return Cosigned(witness_key, size, cosigned)


def _kept(organization: str, given: Cosigned, connection: sa.Connection) -> Cosigned:
    # The log is locked, so that two of a witness come one after the other.
    store.locked(connection, [organization])
    kept = {each.witness_key: each for each in _of(connection, organization)}
    before = kept.get(given.witness_key)
    if before is not None and before.size >= given.size:
        return before
    if before is None and len(kept) >= WITNESSES_MAX:
        raise _invalid("witness_key", f"{WITNESSES_MAX} witnesses of a log are kept.")
    columns = _cosignatures.c
    mine = (columns.organization == organization, columns.witness_key == given.witness_key)
    connection.execute(sa.delete(_cosignatures).where(*mine))
    connection.execute(_cosignatures.insert(), {"organization": organization, **asdict(given)})
    return given


def _of(connection: sa.Connection, organization: str) -> list[Cosigned]:
    query = sa.select(_cosignatures).where(_cosignatures.c.organization == organization)
    rows = connection.execute(query.order_by(_cosignatures.c.witness_key))
    return [Cosigned(row.witness_key, row.size, row.checkpoint) for row in rows]


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})
