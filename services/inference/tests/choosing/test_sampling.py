"""Drawing tokens: equal to the textbook's slow way, and distributed as the model says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.sampling import Controls, draw_token, largest, nucleus

# 99.9 % quantiles of chi-square for the degrees of freedom used below.
CHI_SQUARE_999 = {9: 27.88, 19: 43.82, 299: 379.0}

FLOATS = st.floats(-30, 30, width=32)
LOGITS = st.lists(FLOATS, min_size=1, max_size=600).map(lambda values: np.array(values, np.float32))


def slow_distribution(logits: np.ndarray, controls: Controls) -> np.ndarray:
    """Sort everything, and cut: temperature, min-p, top-k, top-p."""
    weights = np.exp((logits.astype(np.float64) - logits.max()) / controls.temperature)
    weights[weights < controls.min_p] = 0
    order = np.argsort(-weights, kind="stable")
    if controls.top_k:
        weights[order[controls.top_k :]] = 0
    mass = np.cumsum(weights[order]) / weights.sum()
    weights[order[int(np.searchsorted(mass, controls.top_p)) + 1 :]] = 0
    return weights / weights.sum()


def drawn_distribution(logits: np.ndarray, controls: Controls, draws: int) -> np.ndarray:
    rng = np.random.default_rng(20261121)
    counts = np.zeros(logits.size)
    for uniform in rng.random(draws):
        counts[draw_token(logits, controls, uniform)] += 1
    return counts


@pytest.mark.parametrize(
    "controls",
    [
        Controls(),
        Controls(temperature=0.7),
        Controls(temperature=1.5),
        Controls(top_k=10),
        Controls(top_p=0.8),
        Controls(min_p=0.2),
        Controls(temperature=1.2, top_k=12, top_p=0.9, min_p=0.01),
    ],
    ids=str,
)
@pytest.mark.parametrize("vocabulary", [20, 300])
def test_draws_follow_the_distribution(controls: Controls, vocabulary: int) -> None:
    logits = (np.random.default_rng(1).standard_normal(vocabulary) * 1.5).astype(np.float32)
    expected = slow_distribution(logits, controls) * 20_000
    counts = drawn_distribution(logits, controls, 20_000)
    assert counts[expected == 0].sum() == 0
    # Rare tokens are counted together, so that the approximation by chi-square holds.
    frequent = expected >= 5
    observed = np.append(counts[frequent], counts[~frequent].sum())
    wanted = np.append(expected[frequent], expected[~frequent].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    degrees = len(wanted) - 1
    # Wilson and Hilferty's approximation of the 99.9 % quantile.
    limit = degrees * (1 - 2 / (9 * degrees) + 3.09 * np.sqrt(2 / (9 * degrees))) ** 3 if degrees else 0.0
    assert statistic <= limit


@settings(max_examples=200, deadline=None)
@given(LOGITS, st.floats(0.01, 0.999))
def test_a_nucleus_is_what_a_full_sort_gives(logits: np.ndarray, top_p: float) -> None:
    weights = np.exp(logits - logits.max())
    order = np.argsort(-weights, kind="stable")
    mass = np.cumsum(weights[order], dtype=np.float64)
    expected = int(np.searchsorted(mass, top_p * mass[-1])) + 1
    places = nucleus(weights, top_p)
    np.testing.assert_array_equal(weights[places], weights[order[: len(places)]])
    # The order of summation may move the border by a weight that float64 can hardly see.
    assert len(places) == expected or mass[min(len(places), expected) - 1] == pytest.approx(
        top_p * mass[-1], rel=1e-12
    )


def test_a_flat_nucleus_over_a_whole_vocabulary_is_exact() -> None:
    rng = np.random.default_rng(3)
    for scale in (0.0, 0.1, 1.0, 4.0):
        weights = np.exp(rng.standard_normal(49_152) * scale).astype(np.float32)
        weights /= weights.max()
        for top_p in (0.1, 0.5, 0.9, 0.95, 0.999):
            mass = np.cumsum(np.sort(weights)[::-1], dtype=np.float64)
            expected = int(np.searchsorted(mass, top_p * mass[-1])) + 1
            assert abs(len(nucleus(weights, top_p)) - expected) <= 1


@settings(max_examples=200, deadline=None)
@given(LOGITS, st.data())
def test_the_largest_are_the_largest(values: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, values.size))
    places = largest(values, count)
    assert len(set(places.tolist())) == count
    np.testing.assert_array_equal(np.sort(values[places]), np.sort(values)[values.size - count :])


@settings(max_examples=200, deadline=None)
@given(LOGITS, st.floats(0, 1, exclude_max=True))
def test_a_token_without_weight_is_never_drawn(logits: np.ndarray, uniform: float) -> None:
    logits[::2] = -np.inf
    if not np.isfinite(logits).any():
        return
    assert np.isfinite(logits[draw_token(logits, Controls(), uniform)])


@settings(max_examples=100, deadline=None)
@given(LOGITS, st.floats(0, 1, exclude_max=True))
def test_no_temperature_takes_the_likeliest(logits: np.ndarray, uniform: float) -> None:
    assert draw_token(logits, Controls(temperature=0), uniform) == logits.argmax()
    assert draw_token(logits, Controls(top_k=1), uniform) in np.flatnonzero(logits == logits.max())


def test_extreme_numbers_do_no_harm() -> None:
    logits = np.full(1000, -1e30, np.float32)
    logits[7] = 1e30
    for uniform in (0.0, 0.5, np.nextafter(1.0, 0.0)):
        assert draw_token(logits, Controls(temperature=2.0, top_p=0.01, min_p=1.0), float(uniform)) == 7
