"""What will be spent: the hours of the week of weeks past, at the level and with the damped growth of the last one.

Integers all through: money is nano-dollars, ratios are thousandths. How sure it is comes from how far its own forecasts
of past days were off: future days are drawn from those ratios (a bootstrap), and the spread of the sums is the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

DAY_HOURS = 24
WEEK_HOURS = 7 * DAY_HOURS
HISTORY_HOURS_MAX = 8 * WEEK_HOURS
EXHAUSTION_HOURS_MAX = 31 * DAY_HOURS
SEASON_WEEKS_MAX = 4
PATHS = 400
RESIDUAL_DAYS_MAX = 28
# With less than three days known nobody can say more than "half or twice".
UNKNOWN = (500, 1000, 2000)
GROWTH_RANGE = (500, 2000)
DAMPING = 800


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will be spent within a span, and in how many hours so much is spent; None: not within 31 days."""

    p10_nanos: int
    p50_nanos: int
    p90_nanos: int
    exhaustion_p10_hours: int | None
    exhaustion_p50_hours: int | None


def forecast(history: Sequence[int], hours_ahead: int, rest_nanos: int | None, rng: Random) -> Forecast:
    """Forecast what the next hours spend.

    Args:
        history: spend of each past hour, oldest first, up to now.
        hours_ahead: the span, from now.
        rest_nanos: what is left of a budget; None: there is none.
        rng: draws the bootstrap.
    """
    history = history[-HISTORY_HOURS_MAX:]
    expected = _expect(history, max(hours_ahead, EXHAUSTION_HOURS_MAX))
    days, levels = _day_ratios(history), _week_ratios(history)
    paths = [_draw(days, rng.choice(levels), len(expected), rng) for _ in range(PATHS)]
    sums = sorted(_spend(expected[:hours_ahead], path) for path in paths)
    p10, p50, p90 = (sums[PATHS * percent // 100] for percent in (10, 50, 90))
    if rest_nanos is None:
        return Forecast(p10, p50, p90, None, None)
    # Never is later than every hour.
    never = EXHAUSTION_HOURS_MAX + 1
    hours = sorted(_exhausted(expected[:EXHAUSTION_HOURS_MAX], path, rest_nanos, never) for path in paths)
    soonest, usual = (None if (at := hours[PATHS * percent // 100]) == never else at for percent in (10, 50))
    return Forecast(p10, p50, p90, soonest, usual)


def _expect(history: Sequence[int], hours: int) -> list[int]:
    """Expect the next hours; the first follows the last of the history."""
    weeks = min(SEASON_WEEKS_MAX, len(history) // WEEK_HOURS)
    if weeks < 2:  # noqa: PLR2004 - one week is no pattern
        return [sum(history) // len(history) if history else 0] * hours
    totals = [_total(history, weeks_ago) for weeks_ago in range(1, weeks + 1)]
    level_of = sum(totals)
    growth = _growth(totals)
    expected = []
    scale, step = 1000, growth - 1000
    for hour in range(hours):
        slot = hour % WEEK_HOURS
        if slot == 0:
            step = step * DAMPING // 1000
            scale = scale * (1000 + step) // 1000
        past = sum(history[slot - weeks_ago * WEEK_HOURS] for weeks_ago in range(1, weeks + 1))
        # Its share of past weeks, of what the last week spent.
        expected.append(past * totals[0] * scale // (level_of * 1000) if level_of else 0)
    return expected


def _total(history: Sequence[int], weeks_ago: int) -> int:
    end = len(history) - (weeks_ago - 1) * WEEK_HOURS
    return sum(history[end - WEEK_HOURS : end])


def _growth(totals: Sequence[int]) -> int:
    """Give the usual growth from week to week, in thousandths: the median, which one strange week does not move."""
    low, high = GROWTH_RANGE
    growths = sorted(last * 1000 // before for last, before in pairwise(totals) if before)
    return max(low, min(high, growths[len(growths) // 2])) if growths else 1000


def _day_ratios(history: Sequence[int]) -> Sequence[int]:
    """Give what past days spent, in thousandths of what was expected of them."""
    days = min(RESIDUAL_DAYS_MAX, len(history) // DAY_HOURS - 2 * WEEK_HOURS // DAY_HOURS)
    if days > 0:
        known = (_day(history, days_ago) for days_ago in range(1, days + 1))
        ratios = [spent * 1000 // expected for spent, expected in known if expected]
    else:
        days = len(history) // DAY_HOURS
        totals = [sum(_slice(history, days_ago)) for days_ago in range(1, days + 1)]
        mean = sum(totals) // days if days else 0
        ratios = [total * 1000 // mean for total in totals] if mean else []
    return ratios if len(ratios) >= len(UNKNOWN) else UNKNOWN


def _week_ratios(history: Sequence[int]) -> Sequence[int]:
    """Give what past weeks spent, in thousandths of what was to be expected of them when they began."""
    ratios = []
    for weeks_ago in range(1, len(history) // WEEK_HOURS - 1):
        known = history[: len(history) - weeks_ago * WEEK_HOURS]
        expected = sum(_expect(known, WEEK_HOURS))
        if expected:
            ratios.append(_total(history, weeks_ago) * 1000 // expected)
    return ratios or (1000,)


def _day(history: Sequence[int], days_ago: int) -> tuple[int, int]:
    """Give what a day spent, and what was to be expected of it the midnight before."""
    known = history[: len(history) - days_ago * DAY_HOURS]
    return sum(_slice(history, days_ago)), sum(_expect(known, DAY_HOURS))


def _slice(history: Sequence[int], days_ago: int) -> Sequence[int]:
    end = len(history) - (days_ago - 1) * DAY_HOURS
    return history[end - DAY_HOURS : end]


def _draw(ratios: Sequence[int], level: int, hours: int, rng: Random) -> list[int]:
    """Draw what each day to come spends of what is expected of it: days differ, and the level of all may be off."""
    return [rng.choice(ratios) * level // 1000 for _ in range(0, hours, DAY_HOURS)]


def _spend(expected: Sequence[int], path: Sequence[int]) -> int:
    """Give what is spent where each day comes to its share of what is expected."""
    days = range(0, len(expected), DAY_HOURS)
    return sum(
        sum(expected[begin : begin + DAY_HOURS]) * ratio // 1000
        for begin, ratio in zip(days, path, strict=False)
    )


def _exhausted(expected: Sequence[int], path: Sequence[int], rest_nanos: int, never: int) -> int:
    """Give the hours after which a path has spent what was left."""
    for hour, nanos in enumerate(expected):
        if rest_nanos <= 0:
            return hour
        rest_nanos -= nanos * path[hour // DAY_HOURS] // 1000
    return never
