"""A span of time, cut so that each part can be read from the coarsest sums that have it exactly."""

from dataclasses import dataclass

from penstock_billing.clock import DAY_US, HOUR_US

Part = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """Parts of a span, each [start, end) in microseconds; together they are the span.

    Args:
        days: whole days.
        hours: whole hours beside them.
        lines: what is left at the ends, less than an hour each.
        summed: days and hours together; None when the span has no whole hour.
    """

    days: tuple[Part, ...]
    hours: tuple[Part, ...]
    lines: tuple[Part, ...]
    summed: Part | None


def cut(start_us: int, end_us: int, *, by_day: bool) -> Span:
    """Cut a span; `by_day` allows whole days, otherwise its middle is hours."""
    first, last = _ceiling(start_us, HOUR_US), end_us // HOUR_US * HOUR_US
    if first >= last:
        return Span((), (), _parts((start_us, end_us)), None)
    lines = _parts((start_us, first), (last, end_us))
    first_day, last_day = _ceiling(first, DAY_US), last // DAY_US * DAY_US
    if not by_day or first_day >= last_day:
        return Span((), _parts((first, last)), lines, (first, last))
    hours = _parts((first, first_day), (last_day, last))
    return Span(_parts((first_day, last_day)), hours, lines, (first, last))


def _ceiling(at_us: int, unit_us: int) -> int:
    return -(-at_us // unit_us) * unit_us


def _parts(*parts: Part) -> tuple[Part, ...]:
    return tuple(part for part in parts if part[0] < part[1])
