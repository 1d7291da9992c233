"""Budgets: whose spend they bound, in which period, and what is left."""

from dataclasses import dataclass
from enum import IntEnum

from penstock_billing.clock import DAY_US, month_start_us
from penstock_billing.ledger import Entry, Payer


class Period(IntEnum):
    """How often spend starts anew, numbered as in the contract."""

    ALL_TIME = 0
    DAY = 1
    MONTH = 2

    def start_us(self, at_us: int) -> int:
        """Give when the period of a time began, at midnight UTC."""
        if self is Period.DAY:
            return at_us - at_us % DAY_US
        if self is Period.MONTH:
            return month_start_us(at_us)
        return 0


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

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/budgets/{self.budget_id}"

    @property
    def available_nanos(self) -> int:
        """What may still be set aside; negative after the amount was lowered."""
        return self.amount_nanos - self.spent_nanos - self.held_nanos

    def roll(self, now_us: int) -> None:
        """Start anew when a period has begun. A clock that jumps back starts nothing."""
        start_us = self.period.start_us(now_us)
        if start_us > self.period_start_us:
            self.period_start_us = start_us
            self.spent_nanos = 0

    def post(self, entry: Entry) -> None:
        """Follow the ledger."""
        self.held_nanos += entry.held_nanos
        self.spent_nanos += entry.revenue_nanos
