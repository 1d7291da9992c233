from datetime import UTC, datetime

from testkit.clock import Clock


def test_it_moves_only_when_told(clock: Clock) -> None:
    first = clock()
    assert clock() == first
    assert (clock.advance(minutes=1, seconds=30) - first).total_seconds() == 90


def test_it_can_jump_back_as_real_clocks_do(clock: Clock) -> None:
    clock.set(datetime(2020, 1, 1, tzinfo=UTC))
    assert clock.seconds == 1577836800
