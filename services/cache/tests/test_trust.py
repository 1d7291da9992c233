"""A tenant's share of false hits is held at its budget, and an entry that was wrong is asked for more."""

from random import Random

import pytest
from penstock_cache.semantic.calibration import probability
from penstock_cache.semantic.trust import RATE, STRICTER_MAX, EntryTrust, TenantTrust


@pytest.mark.parametrize("budget", [0.01, 0.02, 0.05])
def test_wrong_answers_among_those_checked_stay_within_the_budget_when_the_calibration_is_far_too_sure(
    budget,
):
    rng, trust = Random(1), TenantTrust(budget)
    for _ in range(20_000):
        log_odds = rng.uniform(2, 9)
        if log_odds >= 2 + trust.stricter:
            really_right = probability(log_odds - 3.0)
            trust.observe(wrong=rng.random() > really_right)
    bound = (STRICTER_MAX + RATE) / (RATE * trust.checked)  # Gibbs and Candès, proposition 4.1
    assert trust.wrong / trust.checked <= budget + bound


def test_a_tenant_whose_answers_are_right_is_not_treated_more_strictly():
    trust = TenantTrust(0.02)
    for _ in range(100):
        trust.observe(wrong=False)
    assert trust.stricter == 0.0


def test_a_tenant_is_never_asked_for_more_than_can_be_had():
    trust = TenantTrust(0.02)
    for _ in range(100):
        trust.observe(wrong=True)
    assert trust.stricter == STRICTER_MAX


def test_an_entry_is_asked_for_more_after_one_wrong_answer_and_for_nothing_after_two():
    entry = EntryTrust()
    assert entry.observe(wrong=True)
    assert entry.stricter == 1.0
    assert not entry.observe(wrong=True)


def test_right_answers_make_an_entry_a_little_easier_to_find_and_no_more():
    entry = EntryTrust()
    for _ in range(50):
        assert entry.observe(wrong=False)
    assert entry.stricter == -0.5
