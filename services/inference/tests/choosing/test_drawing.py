"""Drawing tokens: equal to the textbook's slow way, distributed as the model says, and the same at every level."""

import ctypes

import numpy as np
import pytest
from distributions import distribution, edited
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.drawing import EDIT, Drawing, Rule, drawing

BELOW_ONE = float(np.nextafter(1.0, 0.0))
EXTREMES = [-np.inf, -3e38, -1e30, -0.0, 0.0, 1e-38, 1e30, 3e38]


@pytest.fixture(params=[1, 2, 3], ids=lambda level: f"level {level}")
def level(request) -> Drawing:
    """The kernels of one level of vector instructions."""
    try:
        return drawing(request.param)
    except LookupError as error:
        pytest.skip(str(error))


def rule(**fields: float) -> Rule:
    return Rule(**{"temperature": 1.0, "top_p": 1.0, "uniform": 0.5, **fields})


def draw(kernels: Drawing, logits: np.ndarray, *rules: Rule) -> list[int]:
    return kernels.choose(logits[None], [0] * len(rules), rules)


RULES = st.builds(
    rule,
    temperature=st.sampled_from([0.0, 1e-4, 0.3, 0.8, 1.0, 2.0, 50.0, 1e9]),
    min_p=st.sampled_from([0.0, 0.0, 1e-6, 0.05, 0.5, 1.0]),
    top_k=st.sampled_from([0, 0, 1, 2, 7, 40, 599, 10**9]),
    top_p=st.sampled_from([1.0, 1.0, 1e-9, 0.1, 0.5, 0.95, 0.999]),
    uniform=st.floats(0, 1, exclude_max=True),
)


@st.composite
def rows(draw: st.DrawFn) -> np.ndarray:
    """Logits of a row as models have them, flat, steep, rounded so that many are equal, some forbidden or extreme."""
    size, seed = draw(st.integers(1, 600)), draw(st.integers(0, 2**32 - 1))
    spread = draw(st.sampled_from([0.0, 0.1, 2.5, 12.0]))
    logits = (np.random.default_rng(seed).standard_normal(size) * spread).astype(np.float32)
    if draw(st.booleans()):
        logits = np.round(logits)
    if draw(st.booleans()):
        logits[seed % 3 :: 2] = -np.inf
    for value in draw(st.lists(st.sampled_from(EXTREMES), max_size=3)):
        logits[draw(st.integers(0, size - 1))] = value
    if not np.isfinite(logits.max()):
        logits[seed % size] = 1.0
    return logits


def is_drawn_by(token: int, logits: np.ndarray, rule: Rule) -> bool:
    """Tell whether a token is where the running sum passes the point, by a definition that rounds otherwise."""
    for leeway in (1.0, 1 - 1e-5, 1 + 1e-5):
        probabilities = distribution(logits, rule, leeway)
        upper = np.cumsum(probabilities)[token]
        within = upper - probabilities[token] - 1e-5 <= rule.uniform <= upper + 1e-5
        if probabilities[token] > 0 and within:
            return True
    return False


@settings(max_examples=400, deadline=None)
@given(logits=rows(), rule=RULES)
def test_a_token_is_the_one_that_a_full_sort_gives_and_the_same_at_every_level(logits, rule):
    (token,) = draw(drawing(), logits, rule)
    assert is_drawn_by(token, logits, rule)
    assert {draw(kernels, logits, rule)[0] for kernels in every_level()} == {token}


@settings(max_examples=200, deadline=None)
@given(logits=rows(), rule=RULES, data=st.data())
def test_edits_and_masks_come_first(logits, rule, data):
    tokens = data.draw(st.lists(st.integers(0, logits.size - 1), unique=True, max_size=20))
    values = st.tuples(
        st.floats(-9, 9, width=32), st.sampled_from([0.5, 1.0, 1.3]), st.floats(-2, 2, width=32)
    )
    edits = np.array([(token, *data.draw(values)) for token in tokens], EDIT)
    allowed = np.random.default_rng(data.draw(st.integers(0, 9))).random(logits.size) < 0.5
    allowed[data.draw(st.integers(0, logits.size - 1))] = True
    bits = packed(allowed)
    rule.edits, rule.edit_count, rule.allowed = edits.ctypes.data, len(edits), bits.ctypes.data

    changed, before = edited(logits, edits, allowed), logits.copy()
    chosen = {draw(kernels, logits, rule)[0] for kernels in every_level()}

    if np.isfinite(changed.max()):
        (token,) = chosen
        assert is_drawn_by(token, changed, rule)
    else:
        assert chosen == {-1}
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(
    "controls",
    [
        {},
        {"temperature": 0.7},
        {"temperature": 1.5},
        {"top_k": 10},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"temperature": 1.2, "top_k": 12, "top_p": 0.9, "min_p": 0.01},
    ],
    ids=str,
)
@pytest.mark.parametrize("vocabulary", [20, 300])
def test_draws_follow_the_distribution(controls, vocabulary):
    logits = (np.random.default_rng(1).standard_normal(vocabulary) * 1.5).astype(np.float32)
    uniforms = np.random.default_rng(20261121).random(20_000)
    tokens = draw(drawing(), logits, *(rule(uniform=uniform, **controls) for uniform in uniforms))

    counts = np.bincount(tokens, minlength=vocabulary)
    expected = distribution(logits, rule(**controls)) * len(tokens)
    assert counts[expected == 0].sum() == 0
    # Rare tokens are counted together, so that the approximation by chi-square holds.
    frequent = expected >= 5
    observed = np.append(counts[frequent], counts[~frequent].sum())
    wanted = np.append(expected[frequent], expected[~frequent].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    statistic, degrees = float(((observed - wanted) ** 2 / wanted).sum()), len(wanted) - 1
    # Wilson and Hilferty's approximation of the 99.9 % quantile.
    limit = degrees * (1 - 2 / (9 * degrees) + 3.09 * np.sqrt(2 / (9 * degrees))) ** 3 if degrees else 0.0
    assert statistic <= limit


def test_of_equal_logits_the_first_are_kept(level):
    logits = np.full(1000, 2.5, np.float32)
    last = {"uniform": BELOW_ONE}
    assert draw(
        level, logits, rule(top_k=7, **last), rule(top_p=0.25, **last), rule(top_k=100, top_p=0.5, **last)
    ) == [
        6,
        249,
        49,
    ]
    assert draw(
        level, logits, rule(top_p=1e-9, **last), rule(top_k=1, **last), rule(temperature=0, **last)
    ) == [0, 0, 0]


def test_both_zeros_are_equal(level):
    logits = np.array([-1.0, -0.0, 0.0, -0.0, 0.0, -2.0], np.float32)
    last = {"uniform": BELOW_ONE}
    assert draw(level, logits, *(rule(top_k=count, **last) for count in (1, 2, 3, 4, 5))) == [1, 2, 3, 4, 4]
    assert draw(level, logits[:2], rule(top_k=1, **last)) == [1]


@pytest.mark.parametrize("vocabulary", [49_152, 50_257])
def test_a_whole_vocabulary_has_the_nucleus_that_a_full_sort_gives(level, vocabulary):
    dice = np.random.default_rng(3)
    for spread in (0.1, 1.0, 4.0):
        logits = (dice.standard_normal(vocabulary) * spread).astype(np.float32)
        wanted = [
            rule(top_p=top_p, uniform=uniform) for top_p in (0.1, 0.95) for uniform in (0.0, 0.5, BELOW_ONE)
        ]
        for token, each in zip(draw(level, logits, *wanted), wanted, strict=True):
            assert is_drawn_by(token, logits, each)


def test_a_row_that_is_no_numbers_or_too_large_has_no_token(level):
    logits = np.zeros((5, 300), np.float32)
    logits[1, 299], logits[2, 17], logits[3, 3], logits[4] = np.nan, -np.nan, np.inf, -np.inf
    for controls in (rule(), rule(temperature=0), rule(top_p=0.5, top_k=5)):
        assert [token == -1 for token in level.choose(logits, range(5), [controls] * 5)] == [False] + [
            True
        ] * 4


def test_what_is_no_number_is_found_behind_a_mask(level):
    logits, bits = np.zeros(300, np.float32), packed(np.arange(300) < 10)
    logits[200] = np.nan
    assert draw(level, logits, rule(allowed=bits.ctypes.data)) == [-1]


def test_one_allowed_token_is_taken_however_unlikely(level):
    logits = np.full(777, 50.0, np.float32)
    logits[776] = -1e30
    bits = packed(np.arange(777) == 776)
    for controls in ({}, {"temperature": 0}, {"top_p": 0.1, "min_p": 1.0, "top_k": 3}):
        assert draw(level, logits, rule(allowed=bits.ctypes.data, **controls)) == [776]


def test_an_edit_of_a_token_that_the_row_does_not_have_changes_nothing(level):
    edits = np.array([(300, 9.0, 1.0, 0.0), (2**31 - 1, 9.0, 1.0, 0.0), (7, 9.0, 1.0, 0.0)], EDIT)
    edited_row = rule(edits=edits.ctypes.data, edit_count=3, top_k=2, uniform=BELOW_ONE)
    assert draw(level, np.zeros(300, np.float32), edited_row) == [7]


def test_rows_are_taken_as_they_are_named(level):
    logits = np.zeros((4, 256), np.float32)
    for row in range(4):
        logits[row, 10 * row] = 50.0
    assert level.choose(logits, [2, 0, 2], [rule(), rule(temperature=0), rule(top_k=2)]) == [20, 0, 20]
    assert level.choose(logits[::2], [1, 0], [rule(), rule()]) == [20, 0]
    assert level.choose(logits, [], []) == []


@settings(max_examples=200, deadline=None)
@given(logits=rows(), count=st.integers(0, 20))
def test_the_likeliest_come_in_order_and_the_normaliser_is_exact(logits, count):
    exact = logits.astype(np.float64)
    expected = exact.max() + np.log(np.exp(exact - exact.max()).sum())
    results = {
        (value, *tokens) for value, tokens in (each.normaliser(logits, count) for each in every_level())
    }
    ((value, *tokens),) = results
    assert value == pytest.approx(expected, rel=1e-7, abs=1e-5)
    assert tokens == np.argsort(-logits, kind="stable")[:count].tolist()


def test_structures_are_as_the_other_side_has_them():
    assert (ctypes.sizeof(Rule), EDIT.itemsize) == (64, 16)


def packed(allowed: np.ndarray) -> np.ndarray:
    """Give a mask as bits, in whole words of 32."""
    bits = np.packbits(allowed, bitorder="little")
    return np.append(bits, np.zeros(-bits.size % 4, np.uint8))


def every_level() -> list[Drawing]:
    """Give the kernels of each level that the processor has."""
    found = []
    for number in (1, 2, 3):
        try:
            found.append(drawing(number))
        except LookupError:
            continue
    return found
