"""Spend as it was, hour by hour, and what follows from it: forecasts and anomalies."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sqlalchemy import Connection

from penstock_billing.anomaly import WEEKS_MAX, Anomaly, find_anomalies
from penstock_billing.budget import LONGEST_MONTH_US, WEEK_US
from penstock_billing.budget_store import get_budget
from penstock_billing.clock import HOUR_US, month_start_us
from penstock_billing.forecast import HISTORY_HOURS_MAX, Forecast, forecast
from penstock_billing.rollup_store import sum_spend

# The same spend has the same forecast, whoever asks and whenever.
SEED = 1


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a period that has not ended: what was spent since its start, and every hour before now.

    Args:
        rest_nanos: what is left of the budget; None: there is none.
    """

    start_us: int
    end_us: int
    now_us: int
    spent_nanos: int
    rest_nanos: int | None
    history: Sequence[int]

    def forecast(self) -> Forecast:
        """Forecast the rest of the period. What is left of the current hour counts as a whole one."""
        hours_ahead = -(-(self.end_us - self.now_us) // HOUR_US)
        return forecast(self.history, hours_ahead, self.rest_nanos, Random(SEED))  # noqa: S311 - no secret


def read_past(connection: Connection, organization: str, budget_id: str, now_us: int) -> Past:
    """Read the spend of a budget's period or, without a budget, of an organization's month.

    Raises:
        NotFound: there is no such budget (RESOURCE_NOT_FOUND).
    """
    start_us = month_start_us(now_us)
    end_us = month_start_us(start_us + LONGEST_MONTH_US)
    subject, rest = organization, None
    if budget_id:
        budget = get_budget(connection, organization, budget_id)
        budget.roll(now_us)
        subject, start_us, rest = budget.subject, budget.period_start_us, max(0, budget.available_nanos)
        if not budget.period.slice_us:
            end_us = budget.period.next_us(now_us) or end_us
    hour_us = now_us // HOUR_US * HOUR_US
    history = _history(connection, subject, hour_us - HISTORY_HOURS_MAX * HOUR_US, hour_us)
    spent = sum(sum_spend(connection, subject, start_us).values())
    return Past(start_us, end_us, now_us, spent, rest, history)


def look_back(
    connection: Connection, organization: str, start_us: int, now_us: int, z_score_milli_min: int
) -> tuple[int, list[Anomaly]]:
    """Find anomalies of whole hours from a time on; gives when the history that they are places in began, too."""
    first_us = -(-start_us // HOUR_US) * HOUR_US
    begin_us = first_us - WEEKS_MAX * WEEK_US
    hours = _history(connection, organization, begin_us, now_us // HOUR_US * HOUR_US)
    begin_us = now_us // HOUR_US * HOUR_US - len(hours) * HOUR_US
    first = max(0, (first_us - begin_us) // HOUR_US)
    return begin_us, list(find_anomalies(hours, first, z_score_milli_min))


def _history(connection: Connection, subject: str, start_us: int, end_us: int) -> Sequence[int]:
    """Give the spend of each hour from a time on, or from the first that spent anything."""
    spend = sum_spend(connection, subject, max(0, start_us))
    first = min((hour for hour in spend if hour < end_us), default=end_us)
    return [spend.get(hour, 0) for hour in range(first, end_us, HOUR_US)]
