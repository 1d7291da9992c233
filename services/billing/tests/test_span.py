"""Spans of time, cut into what sums are kept of."""

from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.clock import DAY_US, HOUR_US
from penstock_billing.span import cut

TIMES = st.integers(0, 5 * DAY_US)


@given(start=TIMES, length=TIMES, by_day=st.booleans())
def test_the_parts_are_the_span_and_lie_on_their_boundaries(start: int, length: int, by_day: bool) -> None:
    span = cut(start, start + length, by_day=by_day)
    parts = sorted((*span.days, *span.hours, *span.lines))
    assert sum(end - begin for begin, end in parts) == length
    assert [end for _, end in parts[:-1]] == [begin for begin, _ in parts[1:]]
    assert not parts or (parts[0][0], parts[-1][1]) == (start, start + length)
    assert all(begin % DAY_US == end % DAY_US == 0 for begin, end in span.days)
    assert all(begin % HOUR_US == end % HOUR_US == 0 for begin, end in span.hours)
    whole_hour = span.summed is not None
    assert all(not whole_hour or end - begin < HOUR_US for begin, end in span.lines)
    assert all(not (by_day and span.days) or end - begin < DAY_US for begin, end in span.hours)


def test_a_span_within_an_hour_is_lines_only() -> None:
    span = cut(10, 20, by_day=True)
    assert (span.lines, span.hours, span.days, span.summed) == (((10, 20),), (), (), None)


def test_whole_days_need_no_line() -> None:
    span = cut(DAY_US, 3 * DAY_US, by_day=True)
    assert (span.days, span.hours, span.lines) == (((DAY_US, 3 * DAY_US),), (), ())
