"""The worst case and its inverse."""

from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.prices import Prices
from penstock_billing.quote import Quote
from servicekit.money import cost_nanos

NANOS = st.integers(0, 10**12)
PRICES = st.builds(Prices, st.just("s"), NANOS, NANOS, NANOS, NANOS, NANOS, st.just("v"))
TOKENS = st.integers(0, 100_000)


@given(st.lists(PRICES, min_size=1, max_size=4), TOKENS, st.integers(1, 8), st.integers(0, 10**12), TOKENS)
def test_clamping_finds_the_most_tokens_whose_worst_case_fits(
    prices: list[Prices], prompt_tokens: int, answers: int, available_nanos: int, asked: int
) -> None:
    quote = Quote(prices, prompt_tokens, answers)
    granted = quote.tokens_within(available_nanos, asked)
    if granted >= 0:
        assert quote.worst_nanos(granted) <= available_nanos
    if granted < asked:
        assert quote.worst_nanos(max(granted, -1) + 1) > available_nanos


@given(st.data(), st.lists(PRICES, min_size=1, max_size=4), st.integers(1, 8))
def test_settling_at_any_sku_however_the_tokens_fall_never_costs_more_than_was_held(
    data: st.DataObject, prices: list[Prices], answers: int
) -> None:
    prompt = data.draw(st.tuples(TOKENS, TOKENS, TOKENS))
    answer = data.draw(st.tuples(TOKENS, TOKENS))
    max_tokens = -(-sum(answer) // answers)
    served = data.draw(st.sampled_from(prices))
    rates = (served.input, served.cache_read, served.cache_write, served.output, served.reasoning)
    cost = cost_nanos(zip((*prompt, *answer), rates, strict=True))
    assert cost <= Quote(prices, sum(prompt), answers).worst_nanos(max_tokens)


def test_free_tokens_are_never_clamped() -> None:
    free = Prices("s", 0, 0, 0, 0, 0, "v")
    assert Quote([free], 10, 1).tokens_within(0, 100) == 100
