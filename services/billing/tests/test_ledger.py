"""Double entry: steps of a hold and what they post."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.ledger import (
    Entry,
    EntryKind,
    Hold,
    HoldState,
    Payer,
    Posting,
    close,
    extend,
    never_held,
    open_hold,
    settle,
)

NANOS = st.integers(0, 10**15)
LIVES = st.sampled_from(["settle", "release", "expire", "release late", "expire late"])


def hold(amount_nanos: int = 100) -> Hold:
    return Hold("op", Payer("acme"), HoldState.OPEN, amount_nanos, create_us=1, expire_us=2)


@given(NANOS, NANOS, NANOS, LIVES)
def test_whatever_becomes_of_a_hold_its_entries_balance_and_leave_nothing_held(
    amount: int, wider: int, cost: int, life: str
) -> None:
    entries = _live(hold(amount), wider, cost, life)
    assert sum(entry.held_nanos for entry in entries) == 0
    charged = cost if "settle" in life or "late" in life else 0
    assert sum(entry.revenue_nanos for entry in entries) == charged
    assert sum(entry.available_nanos for entry in entries) == -charged
    assert all(entry.held_nanos or entry.revenue_nanos for entry in entries)


def test_a_late_settlement_reverses_what_gave_the_money_back() -> None:
    expired, given_back = close(hold(100), HoldState.EXPIRED, 5)
    settled, entries = settle(expired, 30, b"h", 6)
    assert [entry.kind for entry in entries] == [EntryKind.REVERSE, EntryKind.SETTLE]
    assert entries[0].held_nanos == -given_back[0].held_nanos
    assert (settled.late, settled.state) == (True, HoldState.SETTLED)


def test_an_entry_and_its_reversal_undo_each_other() -> None:
    entry = Entry("acme", "op", EntryKind.SETTLE, 70, -100, 30, 5)
    undone = entry.reversed()
    assert (undone.available_nanos, undone.held_nanos, undone.revenue_nanos) == (-70, 100, -30)


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(AssertionError):
        Entry("acme", "op", EntryKind.HOLD, -1, 2, 0, 5)


def test_what_never_was_held_closes_without_an_entry() -> None:
    nothing = never_held(Payer("acme"), "op", 5)
    assert close(nothing, HoldState.RELEASED, 5)[1] == ()
    assert settle(nothing, 0, b"h", 5)[1] == ()


def _live(opened: Hold, wider: int, cost: int, life: str) -> list[Entry]:
    entries: list[Entry] = []

    def step(posting: Posting) -> Hold:
        entries.extend(posting[1])
        return posting[0]

    opened = step(open_hold(opened))
    widened = opened._replace(amount_nanos=max(opened.amount_nanos, wider), expire_us=9)
    now = step(extend(opened, widened, 3))
    if life.startswith("release"):
        now = step(close(now, HoldState.RELEASED, 4))
    if life.startswith("expire"):
        now = step(close(now, HoldState.EXPIRED, 4))
    if "settle" in life or "late" in life:
        step(settle(now, cost, b"h", 5))
    return entries
