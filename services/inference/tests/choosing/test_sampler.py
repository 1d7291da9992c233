"""Choosing for one sequence: seeds, penalties, biases, log probabilities."""

import numpy as np
import pytest
from distributions import edited
from penstock_inference.logprobs import token_logprob
from penstock_inference.penalties import LogitEdits, Penalties
from penstock_inference.sampler import Sampler, SamplingParameters, choose_tokens
from penstock_inference.sampling import Controls

VOCABULARY = 500
GREEDY = Controls(temperature=0)


def random_logits(rows: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, VOCABULARY)) * 2).astype(np.float32)


def sampler(key: tuple[int, int] = (1, 0), prompt: list[int] | None = None, **parameters) -> Sampler:
    return Sampler(SamplingParameters(**parameters), prompt or [1], 100, key)


def tokens(chooser: Sampler, steps: int = 50) -> list[int]:
    return [choose_tokens(random_logits(1, step), [chooser])[0] for step in range(steps)]


def test_the_same_seed_gives_the_same_tokens() -> None:
    assert tokens(sampler(key=(7, 0))) == tokens(sampler(key=(7, 0)))


def test_another_seed_or_another_answer_gives_others() -> None:
    first = tokens(sampler(key=(7, 0)))
    assert first != tokens(sampler(key=(8, 0)))
    assert first != tokens(sampler(key=(7, 1)))


def test_company_changes_nothing() -> None:
    alone, together = sampler(key=(7, 0)), sampler(key=(7, 0))
    company = [sampler(key=(place, 0), controls=Controls(top_p=0.5)) for place in range(4)]
    for step in range(20):
        mine = random_logits(1, step)
        logits = np.concatenate([random_logits(2, step + 100), mine, random_logits(2, step + 200)])
        chosen = choose_tokens(logits, [*company[:2], together, *company[2:]])
        assert chosen[2] == choose_tokens(mine, [alone])[0]


def test_the_engines_logits_stay_as_they_are() -> None:
    logits = random_logits(2)
    before = logits.copy()
    busy = sampler(
        penalties=Penalties(1, 1, 1.5), logit_bias={3: 5.0}, min_tokens=9, end_tokens=(0,), top_logprobs=3
    )
    choose_tokens(logits, [busy, sampler(controls=GREEDY)])
    np.testing.assert_array_equal(logits, before)


def test_penalties_are_those_of_the_formula() -> None:
    penalties = Penalties(presence=0.5, frequency=0.25, repetition=2.0)
    edits = LogitEdits(penalties, {1: 3.0, 5: -1.5}, prompt=[4, 5, 5], answer_tokens_max=9)
    for token in (6, 7, 7, 5):
        edits.add(token)
    logits = np.array([1, 1, 1, 1, 1, -1, 1, 1], np.float32)
    expected = [1, 4, 1, 1, 1 / 2, -2.5 * 2 - 0.5 - 0.25, 1 / 2 - 0.5 - 0.25, 1 / 2 - 0.5 - 2 * 0.25]
    np.testing.assert_allclose(edited(logits, edits.table[: len(edits)]), expected)


def test_presence_and_frequency_do_not_look_at_the_prompt() -> None:
    edits = LogitEdits(Penalties(presence=1.0, frequency=1.0), {}, prompt=[0, 1], answer_tokens_max=4)
    logits = np.ones(3, np.float32)
    np.testing.assert_array_equal(edited(logits, edits.table[: len(edits)]), [1, 1, 1])


def test_a_bias_of_an_end_token_holds_once_the_answer_may_end() -> None:
    chooser = sampler(controls=GREEDY, min_tokens=1, end_tokens=(0,), logit_bias={0: 9.0})
    logits = np.array([[0, 5, 0]], np.float32)
    assert [choose_tokens(logits, [chooser])[0] for _ in range(2)] == [1, 0]


def test_rows_of_one_sequence_are_chosen_one_after_the_other_as_steps_of_their_own() -> None:
    logits = random_logits(6)
    alone, guessing = (sampler(key=(7, 0), penalties=Penalties(frequency=0.5)) for _ in range(2))
    other = sampler(key=(8, 0))
    expected = [choose_tokens(logits[row : row + 1], [alone])[0] for row in (1, 2, 3)]
    first, _ = choose_tokens(logits, [guessing, other], rows=[1, 5])
    assert [first, *(choose_tokens(logits, [guessing], rows=[row])[0] for row in (2, 3))] == expected


def test_a_strong_penalty_keeps_a_greedy_answer_from_repeating_itself() -> None:
    chooser = sampler(controls=GREEDY, penalties=Penalties(presence=2.0))
    logits = np.zeros((1, 20), np.float32)
    logits[0, :5] = 1.0
    assert sorted(choose_tokens(logits, [chooser])[0] for _ in range(5)) == [0, 1, 2, 3, 4]


def test_a_bias_forces_and_forbids() -> None:
    logits = random_logits(1)
    assert choose_tokens(logits, [sampler(controls=GREEDY, logit_bias={123: 100.0})])[0] == 123
    best = int(logits[0].argmax())
    assert choose_tokens(logits, [sampler(controls=GREEDY, logit_bias={best: -100.0})])[0] != best


def test_no_end_token_is_chosen_before_the_fewest_tokens() -> None:
    chooser = sampler(controls=GREEDY, min_tokens=3, end_tokens=(0, 1))
    logits = np.zeros((1, 10), np.float32)
    logits[0, :2] = 50.0
    assert [choose_tokens(logits, [chooser])[0] for _ in range(5)] == [2, 2, 2, 0, 0]


def test_log_probabilities_are_exact_and_the_likeliest_come_first() -> None:
    logits = random_logits(1)[0]
    exact = logits.astype(np.float64)
    exact -= np.log(np.exp(exact).sum())
    measured = token_logprob(logits, 9, 4)
    assert measured.token == 9
    assert measured.logprob == pytest.approx(exact[9], abs=1e-5)
    best = np.argsort(-exact)[:4]
    assert [place for place, _ in measured.top] == best.tolist()
    assert [value for _, value in measured.top] == pytest.approx(exact[best].tolist(), abs=1e-5)
    assert token_logprob(logits, 9, 0).top == ()


def test_log_probabilities_add_up_to_one() -> None:
    row = random_logits(1)[0]
    total = sum(np.exp(token_logprob(row, token, 0).logprob) for token in range(VOCABULARY))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_nobody_to_choose_for_is_fine() -> None:
    assert choose_tokens(np.empty((0, VOCABULARY), np.float32), []) == []


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_a_row_of_logits_that_are_no_numbers_has_no_token_and_the_others_have_theirs(
    nonsense: float,
) -> None:
    logits = random_logits(3)
    expected = choose_tokens(logits[[0, 2]], [sampler(controls=GREEDY), sampler(key=(5, 0))])
    logits[1, 17] = nonsense
    samplers = [sampler(controls=GREEDY), sampler(), sampler(key=(5, 0))]
    assert choose_tokens(logits, samplers) == [expected[0], None, expected[1]]
