"""A bucket against what it would be without what was given back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.limit import Count, Limit, Scope, Unit

LIMIT = Limit("acme", "l", "", Unit.TOKENS, 1000, 7, Scope.ORGANIZATION, "", "", "", 0)
# Each event: how long after the one before, the units taken, whether (and how long after the end) they come back.
EVENTS = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 7), st.booleans()), max_size=30)


@given(EVENTS, st.integers(0, 2000))
def test_a_bucket_is_never_emptier_for_what_was_given_back_than_if_it_had_never_been_taken(
    events: list[tuple[int, int, bool]], wait_ms: int
) -> None:
    with_it, without = Count("k", 0, 0), Count("k", 0, 0)
    now_ms, taken = 0, []
    for pause_ms, units, returns in events:
        now_ms += pause_ms
        for count in (with_it, without):
            count.drain(LIMIT, now_ms)
        with_it.take(LIMIT, units)
        if returns:
            taken.append((units, now_ms))
        else:
            without.take(LIMIT, units)
    now_ms += wait_ms
    for count in (with_it, without):
        count.drain(LIMIT, now_ms)
    for units, taken_ms in taken:
        with_it.give_back(LIMIT, units, taken_ms)
    assert with_it.level >= without.level


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**9))
def test_after_the_wait_it_fits_and_a_millisecond_earlier_it_does_not(
    value: int, units: int, level: int
) -> None:
    limit = replace(LIMIT, value=value)
    count = Count("k", level, 0)
    wait_ms = count.wait_ms(limit, units)
    if wait_ms is None:
        assert units > value
        return
    if wait_ms:
        count.drain(limit, wait_ms - 1)
        assert count.room(limit) < units
    count.drain(limit, wait_ms)
    assert count.room(limit) >= units


def test_a_clock_that_steps_back_drains_nothing_twice() -> None:
    count = Count("k", 0, 5000)
    count.take(LIMIT, 7)
    for now_ms in (4500, 5000, 4500, 5000):
        count.drain(LIMIT, now_ms)
    assert count.room(LIMIT) == 0


def test_after_a_clock_jumped_back_by_more_than_a_window_the_bucket_drains_again() -> None:
    count = Count("k", 7000, 10**9)
    count.drain(LIMIT, 1000)
    count.drain(LIMIT, 2000)
    assert count.room(LIMIT) == 7
