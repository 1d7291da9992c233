"""Tokens are guessed and checked in fewer steps, and every answer stays as it is."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from batching_fakes import (
    END,
    GREEDY,
    GUESSING,
    TOKENIZER,
    VOCABULARY,
    FakeEngine,
    Loop,
    answer_alone,
    greedy_answer,
    make_sequence,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.answer import FinishReason
from penstock_inference.engines.loading import LoadedModel
from penstock_inference.fairness import ANSWER_TOKEN_COST, PROMPT_TOKEN_COST
from penstock_inference.forms import Form, Notation
from penstock_inference.grammar import Grammars
from penstock_inference.journal import Journal
from penstock_inference.penalties import Penalties
from penstock_inference.prompt_lookup import PromptLookup
from penstock_inference.sampler import Sampler, SamplingParameters
from penstock_inference.sampling import Controls
from penstock_inference.scheduler import Scheduler
from penstock_inference.sequence import EndConditions, Sequence, Urgency
from penstock_inference.speculation import tokens_ahead
from penstock_inference.step_tokens import StepTokens, read_logits

Start = Callable[..., Loop]
GUESSES = 8
DRAWN = Controls(temperature=0.7)
SAMPLINGS = (
    GREEDY,
    SamplingParameters(DRAWN),
    SamplingParameters(DRAWN, top_logprobs=2),
    SamplingParameters(DRAWN, Penalties(presence=0.5, frequency=0.2, repetition=1.1)),
    SamplingParameters(DRAWN, logit_bias={3: 2.0, 5: -4.0}),
    SamplingParameters(DRAWN, min_tokens=20, end_tokens=(0,)),
)


def cycle(history: list[int]) -> np.ndarray:
    """Go round through nine tokens."""
    logits = np.zeros(VOCABULARY, np.float32)
    logits[history[-1] % 9 + 1] = 9
    return logits


class OddAndEvenInTurn:
    """A mask that knows where it is."""

    def __init__(self) -> None:
        self._parity = 0

    def allowed(self) -> np.ndarray:
        return np.packbits(np.arange(VOCABULARY) % 2 == self._parity, bitorder="little")

    def advance(self, token: int) -> None:
        assert token % 2 == self._parity
        self._parity = 1 - self._parity


def run(scheduler: Scheduler, engine) -> list[StepTokens]:
    """Run all steps and give what came of each."""
    steps = []
    while not scheduler.idle:
        plan = scheduler.plan(0.0)
        for copy in plan.copies:
            engine.copy_slot(copy.source, copy.target, copy.tokens)
        if plan.batch is not None:
            steps.append(read_logits(plan, engine.step(plan.batch)))
        scheduler.commit(plan)
        scheduler.check_integrity()
    return steps


def test_what_followed_the_same_two_tokens_the_last_time_is_guessed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 1, 2, 5, 6, 7], [1, 2])
    assert lookup.guess(3) == [5, 6, 7]
    lookup.append(5)
    assert lookup.guess(2) == [6, 7]
    lookup.append(9)
    assert lookup.guess(2) == []
    assert lookup.likelihood == 0


def test_a_guess_that_was_right_goes_on_where_it_was_whatever_else_followed_those_tokens() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 9, 5, 3, 4, 8], [1, 2, 3, 4])
    assert lookup.guess(2) == [9, 5]


def test_what_repeats_itself_is_guessed_to_go_on() -> None:
    assert PromptLookup([8], [1, 2, 3, 1, 2]).guess(7) == [3, 1, 2, 3, 1, 2, 3]
    assert PromptLookup([4], [4, 4]).guess(3) == [4, 4, 4]


def test_a_lookup_learns_whether_its_guesses_are_right_before_anybody_asks() -> None:
    right = PromptLookup([1, 2, 3, 4] * 5, [place % 4 + 1 for place in range(20)])
    wrong = PromptLookup([1, 2], [token for place in range(9) for token in (10 + place, 1, 2)])
    assert right.likelihood > 0.7
    assert 0 < wrong.likelihood < 0.3


def test_the_more_answers_run_the_surer_must_guesses_be_and_no_more_are_made_than_there_is_room() -> None:
    def sequences(count: int, tokens: int) -> list[Sequence]:
        found = [make_sequence([1, 2, 3, 1], max_tokens=20) for _ in range(count)]
        for sequence in found:
            sequence.computed_tokens = 3 + tokens
            for place in range(tokens):
                sequence.append((place + 1) % 3 + 1)
        return found

    def ahead(count: int, tokens: int, room: int = 1000) -> list[int]:
        return [len(each) for each in tokens_ahead(sequences(count, tokens), room, GUESSES)]

    unsure, sure = 2, 10
    assert ahead(1, unsure)[0] > 0
    assert ahead(16, unsure) == [0] * 16
    assert ahead(1, sure)[0] > ahead(1, unsure)[0]
    assert 0 < sum(ahead(16, sure)) < 16 * GUESSES
    assert sum(ahead(3, sure, room=5)) == 5
    assert ahead(1, 18) == [1]  # the last token needs no guess behind it


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 3), min_size=1, max_size=12),
            st.integers(1, 36),
            st.integers(1, 10),
            st.sampled_from(SAMPLINGS),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_answers_however_they_are_chosen_are_those_of_one_token_a_step(requests) -> None:
    def sequences() -> list[Sequence]:
        return [
            make_sequence(
                prompt,
                max_tokens=tokens,
                urgency=Urgency(priority),
                sampling=sampling,
                key=(7, place),
                mask=OddAndEvenInTurn() if masked else None,
            )
            for place, (prompt, tokens, priority, sampling, masked) in enumerate(requests)
        ]

    found = sequences()
    scheduler, engine = Scheduler(GUESSING, 64, GUESSES), FakeEngine(GUESSING)
    for sequence in found:
        scheduler.submit([sequence], 0)
    run(scheduler, engine)
    assert [sequence.tokens for sequence in found] == [answer_alone(alone) for alone in sequences()]


def test_who_was_preempted_goes_through_what_it_had_many_tokens_a_step() -> None:
    limits = replace(GUESSING, slots_max=1)
    scheduler, engine = Scheduler(limits, 64), FakeEngine(limits)
    victim = make_sequence([1, 2], max_tokens=40, end_tokens=frozenset(), urgency=Urgency(9))
    scheduler.submit([victim], 0)
    for _ in range(20):
        plan = scheduler.plan(0.0)
        read_logits(plan, engine.step(plan.batch))
        scheduler.commit(plan)
    steps = len(engine.batches)
    scheduler.submit([make_sequence([3], max_tokens=1, urgency=Urgency(1))], 0)
    run(scheduler, engine)
    assert victim.preemptions == 1
    assert victim.tokens == greedy_answer([1, 2], 40, frozenset())
    # The other's prompt, its own again, what it had by fives, of which the last gives the next token, and the rest.
    assert len(engine.batches) - steps == 1 + 1 + 4 + 19


def test_an_organization_is_charged_by_tokens_and_not_by_guesses() -> None:
    scheduler, engine = Scheduler(GUESSING, 64, GUESSES), FakeEngine(GUESSING, cycle)
    sequence = make_sequence([1, 2], max_tokens=40, end_tokens=frozenset())
    scheduler.submit([sequence], 0)
    run(scheduler, engine)
    assert len(engine.batches) < 25
    assert scheduler._counters.served(sequence.organization) == 2 * PROMPT_TOKEN_COST + 40 * ANSWER_TOKEN_COST


def test_only_what_guessing_cannot_make_good_is_refused_for_its_deadline() -> None:
    scheduler, engine = Scheduler(GUESSING, 64, GUESSES), FakeEngine(GUESSING)
    scheduler.submit([make_sequence([1])], 0)
    while not scheduler.idle:
        plan = scheduler.plan(0.0)
        if plan.batch is not None:
            read_logits(plan, engine.step(plan.batch))
        scheduler.commit(plan, seconds=1.0)
    scheduler.submit([make_sequence([1], min_tokens=19, urgency=Urgency(deadline=3.5))], 0)
    with pytest.raises(Exception, match="deadline"):
        scheduler.submit([make_sequence([1], min_tokens=20, urgency=Urgency(deadline=3.5))], 0)


def test_nothing_comes_behind_an_end_token_that_was_guessed() -> None:
    def count_up(history: list[int]) -> np.ndarray:
        logits = np.zeros(VOCABULARY, np.float32)
        logits[(history[-1] + 1) % 18] = 9
        return logits

    scheduler, engine = Scheduler(GUESSING, 64, GUESSES), FakeEngine(GUESSING, count_up)
    sequence = make_sequence([*range(1, 18), END, 7, 1], max_tokens=26)
    scheduler.submit([sequence], 0)
    run(scheduler, engine)
    assert sequence.tokens == [*range(2, 18), END]
    assert END in engine.batches[-1].decode[0].ahead[:-1]


async def test_what_is_guessed_behind_a_stop_text_is_neither_told_nor_charged(
    batch_loop: Start, journal: Journal
) -> None:
    engine = FakeEngine(GUESSING, cycle)
    loop = batch_loop(engine, Scheduler(GUESSING, 64, GUESSES))
    tokens = [place % 9 + 1 for place in range(2, 42)]
    stop = TOKENIZER.decode(tokens[:12])
    caller = loop.submit(make_sequence([1, 2], max_tokens=40, end_tokens=frozenset()), stops=(stop[-10:],))
    await caller.ended()
    await loop.settled()
    assert caller.text == stop[:-10]
    assert caller.finish_reasons == [FinishReason.STOP]
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert (attempt.completion_tokens, attempt.ended) == (12, True)


async def test_metrics_say_how_many_tokens_were_guessed_and_how_many_stood(batch_loop: Start) -> None:
    engine = FakeEngine(GUESSING, cycle)
    loop = batch_loop(engine, Scheduler(GUESSING, 64, GUESSES))
    await loop.submit(make_sequence([1, 2], max_tokens=40, end_tokens=frozenset())).ended()
    await loop.settled()
    drafted = sum(len(row.ahead) for batch in engine.batches for row in batch.decode)
    accepted = 40 - len(engine.batches)
    exposition = loop.metrics.exposition().decode()
    assert f'spec_decode_draft_tokens_total{{model="fake"}} {float(drafted)}' in exposition
    assert f'spec_decode_accepted_tokens_total{{model="fake"}} {float(accepted)}' in exposition
    assert 'inference_completion_tokens_total{model="fake"} 40.0' in exposition
    assert drafted >= accepted > 15


async def test_numbers_that_overflow_behind_a_guess_fail_the_answer_where_they_would_without_it(
    batch_loop: Start, journal: Journal
) -> None:
    def overflow(history: list[int]) -> np.ndarray:
        return cycle(history) if len(history) < 32 else np.full(VOCABULARY, np.nan, np.float32)

    engine = FakeEngine(GUESSING, overflow)
    loop = batch_loop(engine, Scheduler(GUESSING, 64, GUESSES))
    caller = loop.submit(make_sequence([1, 2], max_tokens=40, end_tokens=frozenset()))
    await caller.ended()
    assert [error.reason for error in caller.errors] == ["INTERNAL"]
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert attempt.completion_tokens == 30
    assert len(engine.batches) < 25


@pytest.fixture(scope="module")
def grammars(smollm2: LoadedModel):
    compiler = Grammars(
        smollm2.tokenizer, smollm2.engine.limits.vocabulary_tokens, list(smollm2.config.eos_ids)
    )
    yield compiler
    compiler.close()


CONTROLS = (Controls(temperature=0), Controls(temperature=0.8, top_p=0.95))
COPIED = "the rain in Spain stays mainly in the plain, says the teacher of the rain in Spain; "


def test_smollm2_answers_the_same_to_the_last_bit_of_its_logits_with_guesses_and_without(
    smollm2: LoadedModel, grammars: Grammars
) -> None:
    dice = random.Random(20261122)
    grammar = grammars.compile(Form(Notation.REGEX, r"(the rain in [A-Z][a-z]{2,9}[,;] ){3}end"))
    samplings = [
        SamplingParameters(CONTROLS[0], top_logprobs=0),
        SamplingParameters(CONTROLS[1], top_logprobs=0),
        SamplingParameters(CONTROLS[1], Penalties(repetition=1.2), top_logprobs=0),
    ]
    prompts = [smollm2.tokenizer.encode(COPIED * dice.randint(2, 4), parse_special=False) for _ in range(4)]

    def sequence(place: int) -> Sequence:
        sampling, mask = samplings[place % 3], grammar.begin() if place == 3 else None
        sampler = Sampler(sampling, prompts[place], 40, (7, place), mask)
        ends = EndConditions(frozenset(smollm2.config.eos_ids), 40)
        return Sequence(prompts[place], organization="acme", urgency=Urgency(), ends=ends, sampler=sampler)

    def answer(guesses_max: int) -> tuple[list[list[tuple[int, bytes]]], int]:
        scheduler = Scheduler(smollm2.engine.limits, 64, guesses_max)
        sequences = [sequence(place) for place in range(4)]
        scheduler.submit(sequences, 0.0)
        steps = run(scheduler, smollm2.engine)
        sampled = [token for step in steps for token in step.sampled]
        answers = [
            [(token.token, token.logits.tobytes()) for token in sampled if token.sequence is mine]
            for mine in sequences
        ]
        return answers, sum(step.guessed for step in steps)

    (expected, none), (found, guessed) = answer(0), answer(GUESSES)
    assert found == expected
    assert none == 0
    assert guessed > 10
