"""Double entry: what becomes of a hold, and the entries that say so.

An organization has three accounts. AVAILABLE is what it may still spend, HELD what is set aside for operations that
run, REVENUE what it owes. AVAILABLE starts at zero and falls below: budgets, not a balance paid in, say how far.

    hold       AVAILABLE -> HELD              the worst case
    extend     AVAILABLE -> HELD              what a long stream needs more
    settle     HELD -> REVENUE and AVAILABLE  what was used, and the rest
    release    HELD -> AVAILABLE              nothing was used
    expire     HELD -> AVAILABLE              nobody said in time what was used
    reverse    the opposite of an entry, which it undoes
    correct    REVENUE -> AVAILABLE           what was settled wrongly, and then what is right the other way

A hold goes open -> settled | released | expired, once. Usage that comes later is still owed: what gave the money back
is reversed and the settlement posted, so that settling is always the same entry.

An entry moves money, sums to zero over the accounts, and is never changed; a correction is a reversal.

Holds, and what else every operation makes and looks up, are named tuples: as frozen as data classes, and faster made,
hashed and compared.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from penstock_billing.prices import Prices


class HoldState(IntEnum):
    """Where a hold stands, numbered as in the contract."""

    OPEN = 1
    SETTLED = 2
    RELEASED = 3
    EXPIRED = 4


class EntryKind(IntEnum):
    """Why money moved."""

    HOLD = 1
    EXTEND = 2
    SETTLE = 3
    RELEASE = 4
    EXPIRE = 5
    REVERSE = 6


class Payer(NamedTuple):
    """Whose money it is: the organization's, on behalf of a user, a team and a key. Empty: none."""

    organization: str
    user: str = ""
    team: str = ""
    api_key: str = ""


class Taking(NamedTuple):
    """Units that an operation took of the count of a limit, and when."""

    key: str
    units: int
    at_ms: int


class Rate(NamedTuple):
    """How a rate of limits stands: what is left of how much, and when all of it is there again."""

    unit: int  # limit.Unit
    value: int
    remaining: int
    reset_ms: int


class Hold(NamedTuple):
    """Money set aside for an operation, and what became of it.

    Args:
        amount_nanos: what is or was set aside; 0 for an operation that never had a hold.
        expire_us: when its lease ends.
        max_tokens: most tokens of one answer that it buys.
        prices: pinned at admission.
        takings: what was taken of limits.
        holder: who runs the operation.
        rates: how the limits that bind it stand, as the answer to an Authorize tells; not kept.
        request_hash: of what was authorized; empty when nothing was.
        usage_hash: of what was settled; empty before.
    """

    operation_id: str
    payer: Payer
    state: HoldState
    amount_nanos: int
    create_us: int
    expire_us: int
    max_tokens: int = 0
    clamped: bool = False
    prices: tuple[Prices, ...] = ()
    request_hash: bytes = b""
    usage_hash: bytes = b""
    cost_nanos: int = 0
    late: bool = False
    prompt_tokens: int = 0
    answers: int = 1
    takings: tuple[Taking, ...] = ()
    model: str = ""
    holder: str = ""
    rates: tuple[Rate, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Its identity: operations are named within their organization."""
        return self.payer.organization, self.operation_id


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of money: what each account gains, in nano-dollars."""

    organization: str
    operation_id: str
    kind: EntryKind
    available_nanos: int
    held_nanos: int
    revenue_nanos: int
    post_us: int

    def __post_init__(self) -> None:
        assert self.available_nanos + self.held_nanos + self.revenue_nanos == 0, self

    def reversed(self) -> "Entry":
        """Give the entry that undoes this one, posted at the same time."""
        return replace(
            self,
            kind=EntryKind.REVERSE,
            available_nanos=-self.available_nanos,
            held_nanos=-self.held_nanos,
            revenue_nanos=-self.revenue_nanos,
        )


# What a step makes of a hold, and the entries that it posts. Where no money moves there is no entry.
Posting = tuple[Hold, tuple[Entry, ...]]


def never_held(payer: Payer, operation_id: str, now_us: int) -> Hold:
    """Give the hold of nothing, to close for an operation that comes without one; a later Authorize finds it closed."""
    return Hold(operation_id, payer, HoldState.OPEN, amount_nanos=0, create_us=now_us, expire_us=now_us)


def open_hold(hold: Hold) -> Posting:
    """Set the amount of a new hold aside."""
    return hold, _entries(_entry(hold, EntryKind.HOLD, hold.create_us, held_nanos=hold.amount_nanos))


def extend(hold: Hold, wider: Hold, now_us: int) -> Posting:
    """Lengthen an open hold, and widen it; neither ever shrinks."""
    assert hold.state is HoldState.OPEN
    assert wider.amount_nanos >= hold.amount_nanos
    assert wider.expire_us >= hold.expire_us
    more = _entry(hold, EntryKind.EXTEND, now_us, held_nanos=wider.amount_nanos - hold.amount_nanos)
    return wider, _entries(more)


def settle(hold: Hold, cost_nanos: int, usage_hash: bytes, now_us: int) -> Posting:
    """Charge what was used and give the rest back. What had closed without usage is reversed first."""
    assert hold.state is not HoldState.SETTLED
    late = hold.state is not HoldState.OPEN
    settled = hold._replace(state=HoldState.SETTLED, cost_nanos=cost_nanos, usage_hash=usage_hash, late=late)
    held, charged = -hold.amount_nanos, cost_nanos
    entry = _entry(hold, EntryKind.SETTLE, now_us, held_nanos=held, revenue_nanos=charged)
    if late:
        return settled, _entries(_give_back(hold, hold.state, now_us).reversed(), entry)
    return settled, _entries(entry)


def close(hold: Hold, state: HoldState, now_us: int) -> Posting:
    """Give everything back: RELEASED because nothing was used, EXPIRED because nobody said."""
    assert hold.state is HoldState.OPEN
    return hold._replace(state=state), _entries(_give_back(hold, state, now_us))


def correct(hold: Hold, cost_nanos: int, now_us: int) -> Posting:
    """Reverse what a settled hold was charged and charge what is right. What it held is long given back."""
    assert hold.state is HoldState.SETTLED
    wrong = _entry(hold, EntryKind.SETTLE, now_us, held_nanos=0, revenue_nanos=hold.cost_nanos)
    right = _entry(hold, EntryKind.SETTLE, now_us, held_nanos=0, revenue_nanos=cost_nanos)
    return hold._replace(cost_nanos=cost_nanos), _entries(wrong.reversed(), right)


def _give_back(hold: Hold, state: HoldState, now_us: int) -> Entry:
    kind = EntryKind.EXPIRE if state is HoldState.EXPIRED else EntryKind.RELEASE
    return _entry(hold, kind, now_us, held_nanos=-hold.amount_nanos)


def _entry(hold: Hold, kind: EntryKind, post_us: int, *, held_nanos: int, revenue_nanos: int = 0) -> Entry:
    return Entry(
        organization=hold.payer.organization,
        operation_id=hold.operation_id,
        kind=kind,
        available_nanos=-held_nanos - revenue_nanos,
        held_nanos=held_nanos,
        revenue_nanos=revenue_nanos,
        post_us=post_us,
    )


def _entries(*entries: Entry) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.held_nanos or entry.revenue_nanos)
