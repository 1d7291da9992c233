"""The scheduler, driven step by step over an engine written by hand."""

import math

import pytest
from batching_fakes import LIMITS, FakeEngine, greedy_answer, make_sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from penstock_inference.engines import EngineLimits
from penstock_inference.fairness import ANSWER_TOKEN_COST, PROMPT_TOKEN_COST
from penstock_inference.plan import Plan
from penstock_inference.prefill import PREEMPTIONS_MAX
from penstock_inference.scheduler import Scheduler
from penstock_inference.sequence import Sequence, Urgency
from penstock_inference.step_tokens import read_logits
from penstock_inference.waiting_line import AGEING_SECONDS
from servicekit.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

PROMPTS = st.lists(st.integers(1, 3), min_size=1, max_size=20)


def run_step(scheduler: Scheduler, engine: FakeEngine, now: float = 0.0, seconds: float = 0.0) -> Plan:
    plan = scheduler.plan(now)
    for copy in plan.copies:
        engine.copy_slot(copy.source, copy.target, copy.tokens)
    if plan.batch is not None:
        read_logits(plan, engine.step(plan.batch))
    scheduler.commit(plan, seconds)
    scheduler.check_integrity()
    return plan


def run_all(scheduler: Scheduler, engine: FakeEngine) -> None:
    for _ in range(10_000):
        if scheduler.idle:
            return
        run_step(scheduler, engine)
    raise AssertionError("the scheduler never comes to an end")


def tokens_read(engine: FakeEngine) -> int:
    return sum(len(chunk.tokens) for batch in engine.batches for chunk in batch.prefills)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PROMPTS, st.integers(1, 12), st.integers(1, 10)), min_size=1, max_size=12))
def test_an_answer_does_not_depend_on_who_else_is_answered(
    requests: list[tuple[list[int], int, int]],
) -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    sequences = [
        make_sequence(prompt, max_tokens=tokens, urgency=Urgency(priority))
        for prompt, tokens, priority in requests
    ]
    for place, sequence in enumerate(sequences):
        scheduler.submit([sequence], 0)
        if place % 3 == 0:
            run_step(scheduler, engine)
    run_all(scheduler, engine)
    for sequence in sequences:
        assert sequence.tokens == greedy_answer(sequence.prompt, sequence.ends.max_tokens)


@settings(max_examples=30, deadline=None)
@given(PROMPTS, st.integers(1, 8))
def test_no_token_of_a_prompt_is_read_alone_however_much_of_it_others_have_read(
    prompt: list[int], beside: int
) -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    for place in range(beside):
        scheduler.submit([make_sequence([*prompt[: 2 * place], 9, 9])], 0)
    sequence = make_sequence([*prompt, 1])
    scheduler.submit([sequence], 0)
    run_all(scheduler, engine)
    for batch in engine.batches:
        assert all(len(chunk.tokens) > 1 for chunk in batch.prefills)


def test_lower_priority_numbers_go_first_and_equals_in_the_order_they_came() -> None:
    scheduler = Scheduler(LIMITS, 64)
    submitted = [
        make_sequence([place + 1], urgency=Urgency(priority))
        for place, priority in enumerate([5, 1, 5, 10, 1])
    ]
    for sequence in submitted:
        scheduler.submit([sequence], 0)
    started: list[Sequence] = []
    engine = FakeEngine()
    while not scheduler.idle:
        started += run_step(scheduler, engine).started
    assert [submitted.index(sequence) for sequence in started] == [1, 4, 0, 2, 3]


def test_an_urgent_prompt_overtakes_one_that_is_being_read() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    scheduler.submit([make_sequence([1] * 20)], 0)
    run_step(scheduler, engine)
    urgent = make_sequence([2], urgency=Urgency(priority=1))
    scheduler.submit([urgent], 0)
    assert run_step(scheduler, engine).prefilling == [urgent]


def test_running_answers_go_on_while_a_long_prompt_is_read() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    running = make_sequence([1], max_tokens=20, end_tokens=frozenset())
    scheduler.submit([running], 0)
    run_step(scheduler, engine)
    scheduler.submit([make_sequence([2] * 20)], 0)
    for expected in range(2, 7):
        run_step(scheduler, engine)
        assert len(running.tokens) == expected


def test_a_full_queue_refuses_all_of_a_request_and_says_when_to_retry() -> None:
    scheduler = Scheduler(LIMITS, waiting_max=2)
    scheduler.submit([make_sequence([1]) for _ in range(5)], 0)
    with pytest.raises(ResourceExhausted) as refused:
        scheduler.submit([make_sequence([1]), make_sequence([1])], 0)
    assert refused.value.reason == "OVERLOADED"
    assert refused.value.retry_after is not None
    assert scheduler.waiting == 5
    scheduler.submit([make_sequence([1], organization="globex")], 0)


def test_a_tenant_that_floods_the_queue_leaves_room_for_others() -> None:
    scheduler = Scheduler(LIMITS, waiting_max=40)
    flooded = 0
    with pytest.raises(ResourceExhausted):
        while True:
            scheduler.submit([make_sequence([1], organization="flood")], 0)
            flooded += 1
    assert flooded == 33
    for _ in range(5):
        scheduler.submit([make_sequence([1], organization="other")], 0)


def test_how_long_to_stay_away_grows_with_how_slowly_the_queue_moves() -> None:
    scheduler, engine = Scheduler(LIMITS, waiting_max=20), FakeEngine()
    for _ in range(18):
        scheduler.submit([make_sequence([1], max_tokens=2)], 0)
    now = 0.0
    while scheduler.waiting > 10:
        run_step(scheduler, engine, now)
        now += 2.0
    with pytest.raises(ResourceExhausted) as refused:
        scheduler.submit([make_sequence([1]) for _ in range(20)], now)
    assert refused.value.retry_after.total_seconds() > 5


@pytest.mark.parametrize("tokens", [LIMITS.context_tokens_max, LIMITS.context_tokens_max + 7])
def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(tokens: int) -> None:
    sequence = make_sequence([1])
    sequence.prompt = [1] * tokens
    with pytest.raises(InvalidArgument) as refused:
        Scheduler(LIMITS, 64).submit([sequence], 0)
    assert refused.value.reason == "CONTEXT_LENGTH_EXCEEDED"
    assert refused.value.metadata == {"prompt_tokens": str(tokens), "context_tokens": "48"}


def test_an_answer_may_fill_the_context_window_to_its_last_row() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    sequence = make_sequence([1] * 40, max_tokens=1000, end_tokens=frozenset())
    scheduler.submit([sequence], 0)
    run_all(scheduler, engine)
    assert len(sequence.tokens) == 8


def test_expired_work_is_not_started() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    late = make_sequence([1], urgency=Urgency(deadline=5.0))
    with pytest.raises(DeadlineExceeded):
        scheduler.submit([late], now=5.0)
    scheduler.submit([late], now=4.0)
    plan = run_step(scheduler, engine, now=5.0)
    assert plan.ended == [late]
    assert plan.batch is None
    assert engine.batches == []


def test_an_answer_stops_at_its_deadline_and_frees_its_slot() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    sequence = make_sequence([1], max_tokens=40, end_tokens=frozenset(), urgency=Urgency(deadline=5.0))
    scheduler.submit([sequence], 0)
    run_step(scheduler, engine, now=1.0)
    run_step(scheduler, engine, now=4.9)
    assert run_step(scheduler, engine, now=5.1).ended == [sequence]
    assert len(sequence.tokens) == 2
    assert scheduler.idle


def test_a_cancelled_answer_has_no_slot_in_the_next_step() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    kept, dropped = (make_sequence([place], max_tokens=20, end_tokens=frozenset()) for place in (1, 2))
    scheduler.submit([kept, dropped], 0)
    run_step(scheduler, engine)
    run_step(scheduler, engine)
    scheduler.cancel([dropped])
    plan = run_step(scheduler, engine)
    assert plan.ended == [dropped]
    assert scheduler.running == [kept]


def test_slots_are_taken_from_the_lowest_and_gaps_are_closed() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    sequences = [make_sequence([place], max_tokens=30, end_tokens=frozenset()) for place in (1, 2, 3, 4)]
    scheduler.submit(sequences, 0)
    for _ in range(4):
        run_step(scheduler, engine)
    assert [sequence.slot for sequence in sequences] == [0, 1, 2, 3]
    scheduler.cancel(sequences[1:3])
    run_step(scheduler, engine)
    assert [sequence.slot for sequence in sequences] == [0, None, None, 1]
    run_all(scheduler, engine)
    assert sequences[3].tokens == greedy_answer([4], 30, frozenset())


def test_a_repeated_beginning_is_copied_in_whole_blocks() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    first, second = make_sequence([*range(1, 12), 1]), make_sequence([*range(1, 12), 2])
    for sequence in (first, second):
        scheduler.submit([sequence], 0)
        run_all(scheduler, engine)
    assert (first.cached_tokens, second.cached_tokens) == (0, 8)
    assert second.tokens == greedy_answer(second.prompt, 8)


def test_answers_to_one_prompt_share_its_blocks() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    sequences = [make_sequence([*range(1, 11)], end_tokens=frozenset()) for _ in range(3)]
    scheduler.submit(sequences, 0)
    run_all(scheduler, engine)
    assert [sequence.cached_tokens for sequence in sequences] == [0, 8, 8]
    assert engine.copies == [(0, 1, 8), (1, 2, 8)]


def test_the_last_two_tokens_of_a_prompt_are_always_computed() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    for expected in (0, 4):
        sequence = make_sequence([*range(1, 10)])
        scheduler.submit([sequence], 0)
        run_all(scheduler, engine)
        assert sequence.cached_tokens == expected


def test_a_slot_that_took_over_another_sequence_is_not_taken_for_what_it_held_before() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    prompts = [[place] * 10 for place in (1, 2, 3)]
    sequences = [make_sequence(prompt, max_tokens=30, end_tokens=frozenset()) for prompt in prompts]
    scheduler.submit(sequences, 0)
    for _ in range(9):
        run_step(scheduler, engine)
    scheduler.cancel([sequences[1]])
    run_step(scheduler, engine)
    assert sequences[2].slot == 1
    again = make_sequence(prompts[1])
    moved = make_sequence(prompts[2])
    scheduler.submit([again, moved], 0)
    run_all(scheduler, engine)
    assert (again.cached_tokens, moved.cached_tokens) == (0, 8)
    assert again.tokens == greedy_answer(prompts[1], 8)
    assert moved.tokens == greedy_answer(prompts[2], 8)


def test_users_who_ask_at_once_with_one_system_prompt_have_it_read_once() -> None:
    limits = EngineLimits(
        LIMITS.vocabulary_tokens, slots_max=8, context_tokens_max=48, prefill_chunk_tokens_max=12
    )
    scheduler, engine = Scheduler(limits, 64), FakeEngine(limits)
    system = [*range(1, 37)]
    users = [make_sequence([*system, 40 + user, 50 + user], max_tokens=2) for user in range(8)]
    scheduler.submit(users, 0)
    run_all(scheduler, engine)
    assert tokens_read(engine) == len(system) + 8 * 2
    assert all(user.tokens == greedy_answer(user.prompt, 2) for user in users)


def test_who_needs_what_this_step_reads_for_another_waits_a_step_and_copies_it() -> None:
    limits = EngineLimits(
        LIMITS.vocabulary_tokens, slots_max=4, context_tokens_max=48, prefill_chunk_tokens_max=24
    )
    scheduler, engine = Scheduler(limits, 64), FakeEngine(limits)
    first, second = (make_sequence([*[1] * 16, user, user]) for user in (2, 3))
    scheduler.submit([first, second], 0)
    assert run_step(scheduler, engine).prefilling == [first]
    assert run_step(scheduler, engine).prefilling == [second]
    assert second.cached_tokens == 16
    run_all(scheduler, engine)
    assert second.tokens == greedy_answer(second.prompt, 8)


def test_who_waits_for_anothers_reading_goes_on_alone_when_that_is_cancelled() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    first, second = (make_sequence([*[1] * 12, user, user]) for user in (2, 3))
    scheduler.submit([first, second], 0)
    run_step(scheduler, engine)
    scheduler.cancel([first])
    assert run_step(scheduler, engine).prefilling == [second]
    assert second.cached_tokens == 4
    run_all(scheduler, engine)
    assert tokens_read(engine) == 14
    assert second.tokens == greedy_answer(second.prompt, 8)


def test_who_was_overtaken_while_being_read_copies_what_the_other_has_read_since() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    overtaken = make_sequence([*[1] * 16, 2, 2])
    scheduler.submit([overtaken], 0)
    run_step(scheduler, engine)
    urgent = make_sequence([*[1] * 16, 3, 3], urgency=Urgency(1))
    scheduler.submit([urgent], 0)
    run_all(scheduler, engine)
    assert (urgent.cached_tokens, overtaken.cached_tokens) == (4, 0)
    assert tokens_read(engine) == 18 + 2
    assert overtaken.tokens == greedy_answer(overtaken.prompt, 8)


def test_nothing_is_shared_between_organizations() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    for organization in ("acme", "globex"):
        sequence = make_sequence([*range(1, 12)], organization=organization)
        scheduler.submit([sequence], 0)
        run_all(scheduler, engine)
        assert sequence.cached_tokens == 0


def test_after_an_eviction_nothing_is_reused() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    scheduler.submit([make_sequence([*range(1, 12)], end_tokens=frozenset())], 0)
    for _ in range(4):
        run_step(scheduler, engine)
    waiting = make_sequence([1])
    scheduler.submit([waiting], 0)
    assert scheduler.evict(waiting_too=False) == [waiting]
    again = make_sequence([*range(1, 12)])
    scheduler.submit([again], 0)
    run_all(scheduler, engine)
    assert again.cached_tokens == 0
    assert again.tokens == greedy_answer(again.prompt, 8)


def test_short_prompts_are_read_together_within_the_budget() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    scheduler.submit([make_sequence([1]), make_sequence([2, 3]), make_sequence([4]), make_sequence([5])], 0)
    plan = run_step(scheduler, engine)
    assert [len(chunk.tokens) for chunk in plan.batch.prefills] == [1, 2, 1]
    assert len(plan.choices) == 3
    plan = run_step(scheduler, engine)
    assert (len(plan.batch.decode), len(plan.batch.prefills)) == (3, 1)


def test_an_urgent_request_takes_the_slot_of_the_least_urgent_who_goes_on_later_where_it_was() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    priorities = [5, 9, 9, 8]
    running = [
        make_sequence([place + 1] * 6, max_tokens=30, end_tokens=frozenset(), urgency=Urgency(priority))
        for place, priority in enumerate(priorities)
    ]
    scheduler.submit(running, 0)
    for _ in range(12):
        run_step(scheduler, engine)
    urgent = make_sequence([7, 7], max_tokens=3, end_tokens=frozenset(), urgency=Urgency(1))
    scheduler.submit([urgent], 0)
    plan = run_step(scheduler, engine)
    (victim,) = plan.preempted
    assert victim is running[2]
    assert plan.prefilling == [urgent]
    produced = len(victim.tokens)
    run_all(scheduler, engine)
    assert len(urgent.tokens) == 3
    assert len(victim.tokens) > produced > 0
    for sequence in running:
        assert sequence.tokens == greedy_answer(sequence.prompt, 30, frozenset())


def test_nobody_loses_a_slot_to_an_equal_or_more_often_than_allowed() -> None:
    scheduler, engine = Scheduler(EngineLimits(LIMITS.vocabulary_tokens, 1, 48, 4), 64), FakeEngine()
    victim = make_sequence([1], max_tokens=20, end_tokens=frozenset(), urgency=Urgency(9))
    scheduler.submit([victim], 0)
    for round_ in range(PREEMPTIONS_MAX + 1):
        while victim.slot is None or victim.prefilling or not victim.completed_by(1):
            run_step(scheduler, engine)
        equal = make_sequence([2], max_tokens=1, urgency=Urgency(9))
        urgent = make_sequence([3], max_tokens=1, urgency=Urgency(1))
        scheduler.submit([equal], 0)
        assert run_step(scheduler, engine).preempted == []
        scheduler.cancel([equal])
        scheduler.submit([urgent], 0)
        preempted = run_step(scheduler, engine).preempted
        assert preempted == ([victim] if round_ < PREEMPTIONS_MAX else [])
    run_all(scheduler, engine)
    assert victim.tokens == greedy_answer([1], 20, frozenset())


def test_the_last_priority_starts_however_many_of_the_first_keep_coming() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    last = make_sequence([9], urgency=Urgency(10), organization="patient")
    scheduler.submit([last], 0)
    now = 0.0
    while last.slot is None and not last.tokens:
        while scheduler.waiting < 8:
            scheduler.submit([make_sequence([1], max_tokens=6, urgency=Urgency(1))], now)
        run_step(scheduler, engine, now)
        now += 0.5
        assert now < 10 * AGEING_SECONDS
    assert now > 8 * AGEING_SECONDS


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 5),
)
def test_two_tenants_who_always_wait_are_served_alike_within_the_bound(mine, theirs, slots) -> None:
    """Sheng et al., theorem 4.4: at most twice the larger of a prompt's cost and what all slots may still answer."""
    limits = EngineLimits(LIMITS.vocabulary_tokens, slots, LIMITS.context_tokens_max, 4)
    scheduler, engine = Scheduler(limits, 64), FakeEngine(limits)
    shapes = {"mine": mine, "theirs": theirs}
    served = dict.fromkeys(shapes, 0)
    bound = 2 * max(PROMPT_TOKEN_COST * 20, ANSWER_TOKEN_COST * slots * 20)
    place = 0
    for _ in range(400):
        for tenant, (prompt, answer) in shapes.items():
            while (
                sum(s.organization == tenant for s in scheduler._line) <= slots
            ):  # or a step empties its line
                place += 1
                tokens = [place % 50 + 1] * prompt
                scheduler.submit(
                    [make_sequence(tokens, max_tokens=answer, end_tokens=frozenset(), organization=tenant)], 0
                )
        plan = run_step(scheduler, engine)
        for sequence in plan.started:
            served[sequence.organization] += PROMPT_TOKEN_COST * (
                len(sequence.prompt) - sequence.cached_tokens
            )
        for choice in plan.choices:
            served[choice.sequence.organization] += ANSWER_TOKEN_COST
        assert abs(served["mine"] - served["theirs"]) <= bound
    assert min(served.values()) > bound


def test_idleness_earns_no_credit() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    for place in range(30):
        scheduler.submit([make_sequence([place % 9 + 1], max_tokens=9, organization="busy")], 0)
    for _ in range(40):
        run_step(scheduler, engine)
    scheduler.submit([make_sequence([1], max_tokens=9, organization="back") for _ in range(12)], 0)
    started: list[str] = []
    while not scheduler.idle:
        started += [sequence.organization for sequence in run_step(scheduler, engine).started]
    assert "busy" in started[:10]


def test_work_that_cannot_be_done_in_time_is_refused_at_once_and_never_started_late() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    now = 0.0
    scheduler.submit([make_sequence([1], max_tokens=20, end_tokens=frozenset()) for _ in range(4)], now)
    for _ in range(10):
        run_step(scheduler, engine, now, seconds=1.0)
        now += 1.0
    long = [3] * 20
    with pytest.raises(DeadlineExceeded):  # it takes five steps of a second
        scheduler.submit([make_sequence(long, urgency=Urgency(deadline=now + 4.0))], now)
    with pytest.raises(DeadlineExceeded):
        scheduler.submit([make_sequence([3], min_tokens=9, urgency=Urgency(deadline=now + 8.0))], now)
    late = make_sequence(long, urgency=Urgency(deadline=now + 6.0))
    scheduler.submit([late], now)
    ended = []
    while not ended:
        ended = run_step(scheduler, engine, now, seconds=1.0).ended
        now += 1.0
    assert ended == [late]
    assert now < late.urgency.deadline
    assert all([*chunk.tokens] != long[:4] for batch in engine.batches for chunk in batch.prefills)


def test_a_prompt_that_is_used_again_and_again_stays_while_others_come_and_go() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    system = [*range(1, 13)]
    for place in range(20):
        shared = make_sequence([*system, place + 1, 1])
        scheduler.submit([shared], 0)
        run_all(scheduler, engine)
        assert shared.cached_tokens == (12 if place else 0)
        assert shared.tokens == greedy_answer(shared.prompt, 8)
        scheduler.submit([make_sequence([place + 20] * 9)], 0)
        run_all(scheduler, engine)
    assert engine.copies == []


def test_the_same_tokens_after_others_are_not_the_same_prefix() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    for prompt, cached in (
        ([1] * 4 + [2] * 4 + [3, 3], 0),
        ([9] * 4 + [2] * 4 + [3, 3], 0),
        ([1] * 4 + [5, 5], 4),
    ):
        sequence = make_sequence(prompt)
        scheduler.submit([sequence], 0)
        run_all(scheduler, engine)
        assert sequence.cached_tokens == cached
        assert sequence.tokens == greedy_answer(prompt, 8)


def test_whose_prompt_is_scored_gets_a_row_for_each_of_its_tokens_and_nothing_from_others() -> None:
    scheduler, engine = Scheduler(LIMITS, 64), FakeEngine()
    prompt = [*range(1, 11)]
    for scored in (False, True):
        sequence = make_sequence(prompt, scores_prompt=scored)
        scheduler.submit([sequence], 0)
        rows = 0
        while sequence.slot is not None or not sequence.tokens:
            plan = run_step(scheduler, engine)
            rows += sum(chunk.logit_rows for chunk in plan.batch.prefills)
        assert rows == (10 if scored else 1)
        assert sequence.cached_tokens == 0
        assert sequence.tokens == greedy_answer(prompt, 8)


class Storm(RuleBasedStateMachine):
    """Submit, step, cancel and expire in any order: slots never leak and answers never change."""

    @initialize(
        slots=st.integers(1, 5),
        chunk=st.integers(3, 8) | st.integers(40, 48),
        reads_as_it_decodes=st.booleans(),
        guesses=st.integers(0, 8),
    )
    def start(self, slots: int, chunk: int, reads_as_it_decodes: bool, guesses: int) -> None:
        limits = EngineLimits(
            LIMITS.vocabulary_tokens, slots, LIMITS.context_tokens_max, chunk, reads_as_it_decodes
        )
        self.scheduler, self.engine = Scheduler(limits, 6, guesses), FakeEngine(limits)
        self.now = 0.0
        self.sequences: list[Sequence] = []
        self.ended: list[Sequence] = []

    @rule(
        prompt=PROMPTS | st.integers(18, 24).map(lambda tokens: [1] * tokens),
        tokens=st.integers(1, 30),
        priority=st.integers(1, 10),
        patience=st.sampled_from([3.0, 20.0, math.inf]),
        organization=st.sampled_from(["acme", "globex"]),
        answers=st.integers(1, 3),
    )
    def submit(self, prompt, tokens, priority, patience, organization, answers) -> None:
        urgency = Urgency(priority, self.now + patience)
        sequences = [
            make_sequence(prompt, max_tokens=tokens, organization=organization, urgency=urgency)
            for _ in range(answers)
        ]
        try:
            self.scheduler.submit(sequences, self.now)
        except ResourceExhausted:
            return
        self.sequences += sequences

    @rule(steps=st.integers(1, 6))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            plan = run_step(self.scheduler, self.engine, self.now, seconds=0.1)
            self.ended += plan.ended
            self.now += 1
            if plan.batch is not None:
                chunk = self.engine.limits.prefill_chunk_tokens_max
                assert sum(len(prefill.tokens) for prefill in plan.batch.prefills) <= chunk
                self.reads_no_block_twice(plan)
                assert len(plan.batch.decode) <= self.engine.limits.slots_max

    def reads_no_block_twice(self, plan: Plan) -> None:
        """Two who could share a block are not read together: one of them waits and copies."""
        block_tokens = self.engine.limits.block_tokens
        read: list[tuple[str, list[int]]] = []
        for sequence, chunk in zip(plan.prefilling, plan.batch.prefills, strict=True):
            end = min(chunk.past_tokens + len(chunk.tokens), len(sequence.prompt) - 2)
            first = chunk.past_tokens // block_tokens * block_tokens + block_tokens
            ends = range(first, end + 1, block_tokens)
            read += [(sequence.organization, sequence.prompt[:end]) for end in ends]
        assert all(block not in read[:place] for place, block in enumerate(read))

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        stopped = data.draw(st.sampled_from(self.scheduler.running))
        self.scheduler.stop([stopped])

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.scheduler.cancel(data.draw(st.lists(st.sampled_from(self.sequences), max_size=4)))

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.scheduler.running))
        self.scheduler.discard([gone])
        self.sequences.remove(gone)

    @rule(waiting_too=st.booleans())
    def fault(self, waiting_too: bool) -> None:
        before = set(self.scheduler.running)
        waiting = self.scheduler.evict(waiting_too=waiting_too)
        self.sequences = [
            s for s in self.sequences if s not in before and (s.finished or s in waiting or s in self.ended)
        ]

    @invariant()
    def is_sound(self) -> None:
        self.scheduler.check_integrity()
        running = set(self.scheduler.running)
        assert not running & set(self.ended)
        for sequence in self.sequences:
            expected = greedy_answer(sequence.prompt, sequence.ends.max_tokens)
            assert sequence.tokens == expected[: len(sequence.tokens)]

    def teardown(self) -> None:
        self.scheduler.cancel(self.sequences)
        run_step(self.scheduler, self.engine, self.now)
        assert self.scheduler.idle


Storm.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStorm = Storm.TestCase
