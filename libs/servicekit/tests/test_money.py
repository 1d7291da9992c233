from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from penstock.billing.v1 import hold_pb2
from servicekit.money import ceiling_nanos, cost_nanos, is_charged

LINES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 10**13)), max_size=5)


@given(LINES)
def test_a_line_costs_the_exact_sum_rounded_once_half_to_even(line: list[tuple[int, int]]) -> None:
    exact = sum((Fraction(tokens * price, 10**6) for tokens, price in line), Fraction())
    assert cost_nanos(line) == round(exact)  # round() of a Fraction is exact and half to even


@given(LINES)
def test_a_ceiling_is_never_below_the_cost_and_at_most_one_nano_above_the_exact_sum(
    line: list[tuple[int, int]],
) -> None:
    exact = sum((Fraction(tokens * price, 10**6) for tokens, price in line), Fraction())
    assert ceiling_nanos(line) >= cost_nanos(line)
    assert exact <= ceiling_nanos(line) < exact + 1


def test_halves_round_to_the_even_neighbour() -> None:
    assert [cost_nanos([(n, 500_000)]) for n in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_classes_are_summed_before_the_one_division() -> None:
    assert cost_nanos([(1, 400_000), (1, 400_000)]) == 1
    assert cost_nanos([(1, 400_000)]) + cost_nanos([(1, 400_000)]) == 0


def test_one_token_at_a_price_finer_than_a_micro_dollar_is_exact() -> None:
    assert cost_nanos([(2, 37_500_000)]) == 75


def test_a_failure_without_output_and_a_cache_hit_are_not_charged() -> None:
    tokens = hold_pb2.TokenUsage(input=100)
    answered = hold_pb2.TokenUsage(input=100, output=1)

    def charged(outcome: hold_pb2.AttemptOutcome, used: hold_pb2.TokenUsage) -> bool:
        return is_charged(hold_pb2.AttemptUsage(outcome=outcome, tokens=used))

    assert not charged(hold_pb2.ATTEMPT_OUTCOME_FAILED, tokens)
    assert not charged(hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT, answered)
    assert charged(hold_pb2.ATTEMPT_OUTCOME_FAILED, answered)
    assert charged(hold_pb2.ATTEMPT_OUTCOME_CANCELLED, tokens)
    assert charged(hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED, tokens)
