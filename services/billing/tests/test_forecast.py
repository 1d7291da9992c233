"""Forecasts and anomalies: pure arithmetic on hours of spend, checked on made-up companies."""

from random import Random

from penstock_billing.anomaly import find_anomalies
from penstock_billing.forecast import forecast

WEEK = 168
DOLLAR = 10**9


def company(rng: Random, weeks: int, *, growth: float = 1.0, noise: float = 0.25) -> list[int]:
    """Make the hourly spend of a company that works by day and rests at the weekend."""
    hours = []
    for hour in range(weeks * WEEK):
        busy = 1.0 if 8 <= hour % 24 < 18 else 0.2
        rest = 0.3 if hour % WEEK >= 120 else 1.0
        level = growth ** (hour / WEEK) * rng.lognormvariate(0, noise)
        hours.append(int(10 * DOLLAR * busy * rest * level))
    return hours


def test_a_company_that_never_changes_is_forecast_exactly() -> None:
    hours = company(Random(1), 8, noise=0)
    found = forecast(hours, WEEK, None, Random(1))
    assert found.p10_nanos == found.p50_nanos == found.p90_nanos == sum(hours[:WEEK])


def test_of_many_companies_most_spend_between_p10_and_p90() -> None:
    within, errors = 0, []
    for seed in range(60):
        rng = Random(seed)
        hours = company(rng, 10, growth=rng.choice([0.97, 1.0, 1.05]))
        truth = sum(hours[8 * WEEK :])
        found = forecast(hours[: 8 * WEEK], 2 * WEEK, None, Random(seed))
        within += found.p10_nanos <= truth <= found.p90_nanos
        errors.append(abs(found.p50_nanos - truth) / truth)
    assert 60 * 0.5 <= within <= 60
    assert sum(errors) / len(errors) < 0.06  # the mean absolute percentage error


def test_growth_is_followed_and_damped() -> None:
    hours = company(Random(1), 8, growth=1.2, noise=0)
    found = forecast(hours, WEEK, None, Random(1))
    last = sum(hours[-WEEK:])
    assert last * 1.10 < found.p50_nanos < last * 1.25


def test_a_budget_is_used_up_when_spend_says_so() -> None:
    hours = [DOLLAR] * 8 * WEEK
    found = forecast(hours, WEEK, 10 * DOLLAR, Random(1))
    assert (found.exhaustion_p10_hours, found.exhaustion_p50_hours) == (10, 10)
    assert forecast(hours, WEEK, 0, Random(1)).exhaustion_p50_hours == 0
    assert forecast(hours, WEEK, 745 * DOLLAR, Random(1)).exhaustion_p50_hours is None
    assert forecast(hours, WEEK, None, Random(1)).exhaustion_p50_hours is None


def test_little_history_is_a_mean_and_says_how_unsure_it_is() -> None:
    found = forecast([DOLLAR] * 10, 100, None, Random(1))
    assert found.p10_nanos < 100 * DOLLAR <= found.p90_nanos
    assert forecast([], 100, 5, Random(1)).p90_nanos == 0


def test_a_forecast_to_the_end_of_a_month_counts_every_hour_once() -> None:
    hours = [DOLLAR] * 8 * WEEK
    for ahead in (0, 1, 23, 24, 25, 500, 8760):
        assert forecast(hours, ahead, None, Random(1)).p50_nanos == ahead * DOLLAR


def test_injected_anomalies_are_found_and_hardly_anything_else() -> None:
    hits = misses = false_alarms = 0
    for seed in range(10):
        rng = Random(seed)
        hours = company(rng, 10, noise=0.1)
        strange = set(rng.sample(range(8 * WEEK, 10 * WEEK), 8))
        for place in strange:
            hours[place] = hours[place] * rng.choice([4, 6]) if rng.random() < 0.8 else 0
        found = {each.place for each in find_anomalies(hours, 8 * WEEK, 5000)}
        hits += len(found & strange)
        misses += len(strange - found)
        false_alarms += len(found - strange)
    assert hits / (hits + misses) > 0.95  # recall
    assert hits / (hits + false_alarms) > 0.6  # precision, over 3,360 hours of which 80 are strange


def test_an_anomaly_says_what_was_expected() -> None:
    hours = company(Random(1), 6, noise=0)
    hours[5 * WEEK + 10] *= 3
    (found,) = find_anomalies(hours, 5 * WEEK, 3500)
    assert (found.place, found.expected_nanos) == (5 * WEEK + 10, hours[10])
    assert found.z_score_milli > 0


def test_without_four_weeks_before_nothing_is_strange() -> None:
    hours = company(Random(1), 4, noise=0)
    hours[-1] *= 100
    assert list(find_anomalies(hours, 0, 3500)) == []
