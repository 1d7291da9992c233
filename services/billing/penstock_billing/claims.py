"""Lapsed holds, for whoever reconciles them: each is given to one claimer at a time."""

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, bindparam, select, update

from penstock_billing.clock import Clock, to_us
from penstock_billing.ledger import Hold
from penstock_billing.rows import HOLD, read_hold
from penstock_billing.tables import hold_is_open, holds
from penstock_billing.transactions import Transactions


class Claims:
    """Gives lapsed holds out.

    Args:
        grace_us: how long after its lease a hold waits for that before it expires.
    """

    def __init__(self, transactions: Transactions, clock: Clock, grace_us: int) -> None:
        self._transactions = transactions
        self._clock = clock
        self.grace_us = grace_us

    async def claim(self, items_max: int, claim_us: int) -> list[Hold]:
        """Claim holds, the longest lapsed first; nobody else gets them for so long.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        claim = Claim(to_us(self._clock()), claim_us, items_max)
        return await self._transactions.write(partial(claim_lapsed, claim=claim))


@dataclass(frozen=True, slots=True)
class Claim:
    """How many, now, and how long nobody else gets them."""

    now_us: int
    claim_us: int
    items_max: int


def claim_lapsed(connection: Connection, claim: Claim) -> list[Hold]:
    """Claim open holds whose lease has ended, the longest lapsed first."""
    lapsed = (
        select(*(holds.c[name] for name in HOLD))
        .where(hold_is_open, holds.c.expire_us <= claim.now_us, holds.c.claim_us <= claim.now_us)
        .order_by(holds.c.expire_us)
        .limit(claim.items_max)
        .with_for_update(skip_locked=True)
    )
    found = [read_hold(row) for row in connection.execute(lapsed)]
    if found:
        until_us = claim.now_us + claim.claim_us
        keys = [{"of": hold.payer.organization, "id": hold.operation_id, "until": until_us} for hold in found]
        connection.execute(_CLAIM, keys)
    return found


_CLAIM = (
    update(holds)
    .where(holds.c.operation_id == bindparam("id"), holds.c.organization == bindparam("of"))
    .values(claim_us=bindparam("until"))
)
