"""What billing can be asked to record, as values: named tuples, as the ledger's, for what every operation makes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from penstock.billing.v1 import hold_pb2

from penstock_billing.ledger import Payer


class Authorize(NamedTuple):
    """Set the worst case of an operation aside. `deadline_us` 0: the caller waits for ever."""

    payer: Payer
    operation_id: str
    skus: tuple[str, ...]
    prompt_tokens: int
    max_tokens: int
    answers: int
    lease_us: int
    deadline_us: int
    request_hash: bytes
    model: str = ""
    tier: str = ""
    holder: str = ""


class Extend(NamedTuple):
    """Lengthen a hold, and widen it. `amount_nanos` or `max_tokens` 0: as wide as before."""

    payer: Payer
    operation_id: str
    expire_us: int
    amount_nanos: int
    deadline_us: int
    max_tokens: int = 0


class Settle(NamedTuple):
    """Post what an operation used. The attempts stay wire messages: they are read once, into usage lines."""

    payer: Payer
    operation_id: str
    attempts: Sequence[hold_pb2.AttemptUsage]
    end_us: int
    model: str
    operation: str
    metadata: Mapping[str, str]
    usage_hash: bytes


class Release(NamedTuple):
    """Give back the hold of an operation that used nothing."""

    payer: Payer
    operation_id: str


class Expire(NamedTuple):
    """Give back a hold whose lease ended so long ago, unless it was extended or closed meanwhile."""

    payer: Payer
    operation_id: str
    grace_us: int = 0


Command = Authorize | Extend | Settle | Release | Expire
