"""Budgets: whose spend they bound, in which period, and what is left."""

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from penstock_billing.clock import DAY_US, HOUR_US, month_start_us, year_start_us
from penstock_billing.ledger import Entry, Payer

WEEK_US = 7 * DAY_US
# The epoch was a Thursday.
MONDAY_US = 4 * DAY_US
LONGEST_MONTH_US = 31 * DAY_US
LONGEST_YEAR_US = 366 * DAY_US


class Period(IntEnum):
    """How often spend starts anew, or how long it counts, numbered as in the contract."""

    ALL_TIME = 0
    DAY = 1
    MONTH = 2
    WEEK = 3
    YEAR = 4
    ROLLING_DAY = 5
    ROLLING_WEEK = 6
    ROLLING_MONTH = 7

    @property
    def slice_us(self) -> int:
        """Give how finely spend is kept apart in a rolling period; 0: the period is a calendar's."""
        return _ROLLING[self][1] if self in _ROLLING else 0

    def start_us(self, at_us: int) -> int:
        """Give when what counts at a time began: a midnight UTC, or the slice that a rolling period reaches into."""
        return _start_us(self, at_us)

    def next_us(self, at_us: int) -> int | None:
        """Give when less counts than at a time: the next period, or the end of the oldest slice; None: never."""
        start_us = self.start_us(at_us)
        match self:
            case Period.ALL_TIME:
                return None
            case Period.DAY:
                return start_us + DAY_US
            case Period.WEEK:
                return start_us + WEEK_US
            case Period.MONTH:
                return month_start_us(start_us + LONGEST_MONTH_US)
            case Period.YEAR:
                return year_start_us(start_us + LONGEST_YEAR_US)
        span_us, slice_us = _ROLLING[self]
        return start_us + slice_us + span_us


# How long spend counts, and how finely it is kept apart. A slice counts until all of it is past.
_ROLLING = {
    Period.ROLLING_DAY: (DAY_US, HOUR_US),
    Period.ROLLING_WEEK: (WEEK_US, 6 * HOUR_US),
    Period.ROLLING_MONTH: (30 * DAY_US, DAY_US),
}


# A transaction asks for its own time, once a budget.
@lru_cache(maxsize=64)
def _start_us(period: Period, at_us: int) -> int:
    if period in _ROLLING:
        span_us, slice_us = _ROLLING[period]
        return (at_us - span_us) // slice_us * slice_us
    match period:
        case Period.DAY:
            return at_us - at_us % DAY_US
        case Period.WEEK:
            return at_us - (at_us - MONDAY_US) % WEEK_US
        case Period.MONTH:
            return month_start_us(at_us)
        case Period.YEAR:
            return year_start_us(at_us)
    return 0


class Enforcement(IntEnum):
    """What happens to what does not fit, numbered as in the contract."""

    HARD = 0
    SOFT = 1


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose spend a budget bounds. Kind "user", "team" or "api_key"; empty: the whole organization."""

    organization: str
    kind: str = ""
    id: str = ""

    @property
    def path(self) -> str:
        """Its name in the store: "acme", "acme/team/red"."""
        return f"{self.organization}/{self.kind}/{self.id}" if self.kind else self.organization

    @classmethod
    def parse(cls, path: str) -> "Subject":
        """Read a path."""
        return cls(*path.split("/", 2))


def subject_paths(payer: Payer) -> list[str]:
    """Give the paths of all subjects that a payer's spend counts for."""
    organization = payer.organization
    paths = [organization]
    if payer.team:
        paths.append(f"{organization}/team/{payer.team}")
    if payer.user:
        paths.append(f"{organization}/user/{payer.user}")
    if payer.api_key:
        paths.append(f"{organization}/api_key/{payer.api_key}")
    return paths


@dataclass(slots=True)
class Budget:
    """The most that may be spent in a period. A working copy: its counters follow the entries posted to it."""

    organization: str
    budget_id: str
    subject: str
    display_name: str
    amount_nanos: int
    period: Period
    create_us: int
    period_start_us: int
    spent_nanos: int
    held_nanos: int
    # Of a rolling period: what was spent in each slice, by its beginning.
    slices: dict[int, int] = field(default_factory=dict)
    enforcement: Enforcement = Enforcement.HARD

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/budgets/{self.budget_id}"

    @property
    def available_nanos(self) -> int:
        """What may still be set aside; negative after the amount was lowered."""
        return self.amount_nanos - self.spent_nanos - self.held_nanos

    def reset_us(self, now_us: int) -> int | None:
        """Give when less of what was spent counts than now; None: never, or nothing was spent."""
        if not self.period.slice_us:
            return self.period.next_us(now_us)
        if not self.slices:
            return None
        span_us, slice_us = _ROLLING[self.period]
        return min(self.slices) + slice_us + span_us

    def roll(self, now_us: int) -> None:
        """Start anew when a period has begun. A clock that jumps back starts nothing."""
        start_us = self.period.start_us(now_us)
        if start_us > self.period_start_us:
            self.period_start_us = start_us
            self.slices = {begin_us: spent for begin_us, spent in self.slices.items() if begin_us >= start_us}
            self.spent_nanos = sum(self.slices.values())

    def post(self, entry: Entry) -> None:
        """Follow the ledger."""
        self.held_nanos += entry.held_nanos
        self.spent_nanos += entry.revenue_nanos
        if entry.revenue_nanos and (slice_us := self.period.slice_us):
            begin_us = entry.post_us // slice_us * slice_us
            self.slices[begin_us] = self.slices.get(begin_us, 0) + entry.revenue_nanos
