"""The batch loop in its thread: results, storms, faults, and who is told what."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from batching_fakes import (
    END,
    GUESSING,
    LIMITS,
    TOKENIZER,
    Caller,
    FakeEngine,
    Gate,
    Loop,
    greedy_answer,
    make_sequence,
)
from penstock_inference.answer import Answer, Delta, FinishReason
from penstock_inference.answer_text import AnswerText
from penstock_inference.engine_health import FAULTS_MAX
from penstock_inference.engines import Logits, StepBatch
from penstock_inference.journal import Journal
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.plan import Plan
from penstock_inference.sampler import SamplingParameters
from penstock_inference.sampling import Controls
from penstock_inference.scheduler import Scheduler
from penstock_inference.sequence import Urgency
from servicekit.errors import DeadlineExceeded, Internal, ResourceExhausted, Unavailable
from testkit.waiting import until

Start = Callable[..., Loop]
CROWD = 10  # waits, with more urgent ones among it, before a step is let go


def endless(prompt: list[int], **changes):
    return make_sequence(prompt, max_tokens=40, end_tokens=frozenset(), **changes)


async def test_every_caller_gets_its_own_answer_as_text(batch_loop: Start) -> None:
    loop = batch_loop()
    prompts = [[place % 7 + 1, place % 5 + 1] for place in range(20)]
    callers = [loop.submit(make_sequence(prompt, max_tokens=12)) for prompt in prompts]
    for caller, prompt in zip(callers, prompts, strict=True):
        await caller.ended()
        expected = greedy_answer(prompt, 12)
        assert caller.text == TOKENIZER.decode(expected)
        assert caller.finish_reasons == [FinishReason.STOP if expected[-1] == END else FinishReason.LENGTH]


async def test_a_seed_gives_the_same_tokens_alone_and_in_company(batch_loop: Start) -> None:
    sampled = SamplingParameters(Controls(temperature=1.0, top_p=0.9))

    def mine():
        return endless([1, 2, 3], sampling=sampled, key=(7, 0))

    loop = batch_loop()
    alone = mine()
    await loop.submit(alone).ended()
    others = [loop.submit(endless([place + 1], sampling=sampled, key=(place, 0))) for place in range(3)]
    together = mine()
    await loop.submit(together).ended()
    for other in others:
        await other.ended()
    assert together.tokens == alone.tokens
    assert len(set(alone.tokens)) > 5


async def test_a_stop_text_frees_the_slot_and_what_was_computed_behind_it_is_not_charged(
    batch_loop: Start, journal: Journal
) -> None:
    loop = batch_loop()
    whole = TOKENIZER.decode(greedy_answer([1, 2], 40, frozenset()))
    caller = loop.submit(endless([1, 2]), stops=(whole[6:9],))
    await caller.ended()
    await loop.settled()
    assert caller.text == whole[: whole.index(whole[6:9])]
    assert caller.finish_reasons == [FinishReason.STOP]
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert attempt.completion_tokens == whole.index(whole[6:9]) + 3
    assert attempt.ended


@pytest.mark.parametrize("guesses", [0, 8])
async def test_random_traffic_with_cancels_and_preemptions_is_answered_as_one_by_one(
    batch_loop: Start, guesses: int
) -> None:
    engine = FakeEngine(GUESSING if guesses else LIMITS)
    gate = Gate(engine)
    scheduler = Scheduler(engine.limits, 64, guesses)
    loop, dice = batch_loop(engine, scheduler), random.Random(20261122)
    patient = [loop.submit(endless([1], urgency=Urgency(priority=10))) for _ in range(LIMITS.slots_max)]
    await gate.entered()
    callers: list[tuple[Caller, list[int], int]] = []
    cancelled: set[Caller] = set()
    for number in range(150):
        if number == CROWD:
            gate.open()
        prompt, tokens = [dice.randint(1, 3) for _ in range(dice.randint(1, 14))], dice.randint(1, 30)
        urgency = Urgency(priority=dice.randint(1, 10))
        sequence = make_sequence(prompt, max_tokens=tokens, urgency=urgency, organization=dice.choice("ab"))
        callers.append((await loop.submit_when_there_is_room(sequence), prompt, tokens))
        if dice.random() < 0.2:
            gone = dice.choice(callers)[0]
            loop.batcher.cancel(gone.job)
            cancelled.add(gone)
        await asyncio.sleep(dice.choice([0, 0, 0.001]))
    for caller, prompt, tokens in callers:
        if caller not in cancelled:
            await caller.ended()
            assert caller.text == TOKENIZER.decode(greedy_answer(prompt, tokens))
    for caller in patient:
        await caller.ended()
        assert caller.text == TOKENIZER.decode(greedy_answer([1], 40, frozenset()))
    await loop.settled()
    loop.scheduler.check_integrity()
    preempted, accepted = (
        int(re.search(rf'{name}_total\{{model="fake"\}} (\d+)', loop.metrics.exposition().decode())[1])
        for name in ("preempted", "spec_decode_accepted_tokens")
    )
    assert preempted > 0
    assert (accepted > 0) == (guesses > 0)
    assert len(callers) - len(cancelled) > 50


async def test_a_storm_of_cancels_leaves_no_slot_taken(batch_loop: Start) -> None:
    loop, dice = batch_loop(), random.Random(20261121)
    callers = []
    for _ in range(120):
        try:
            sequences = [
                endless([dice.randint(1, 9)] * dice.randint(1, 20)) for _ in range(dice.randint(1, 3))
            ]
            callers.append(loop.submit(*sequences))
        except ResourceExhausted:
            pass
        if callers and dice.random() < 0.7:
            loop.batcher.cancel(dice.choice(callers).job)
        await asyncio.sleep(dice.choice([0, 0, 0.002]))
    for caller in callers:
        loop.batcher.cancel(caller.job)
    await loop.settled()
    loop.scheduler.check_integrity()
    assert loop.scheduler.running == []
    assert all(caller.attempt.ended for caller in callers)
    exposition = loop.metrics.exposition().decode()
    assert 'penstock_inference_running{model="fake"} 0.0' in exposition
    assert 'penstock_inference_waiting{model="fake"} 0.0' in exposition
    answer = loop.submit(make_sequence([1, 2]))
    await answer.ended()
    assert answer.text == TOKENIZER.decode(greedy_answer([1, 2], 8))


async def test_a_cancelled_answer_takes_part_in_no_further_step(batch_loop: Start, journal: Journal) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    caller = loop.submit(endless([1, 2, 3]))
    gate.let_go(3)
    for _ in range(4):
        await gate.entered()
    loop.batcher.cancel(caller.job)
    gate.open()
    await loop.settled()
    assert len(engine.batches) == 4
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.ended) == (3, 3, True)


async def test_an_answer_that_is_cancelled_while_its_last_token_is_computed_ends(
    batch_loop: Start, journal: Journal
) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    caller = loop.submit(make_sequence([1, 2, 3], max_tokens=1))
    await gate.entered()
    loop.batcher.cancel(caller.job)
    gate.open()
    await loop.settled()
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.ended) == (3, 0, True)


async def test_an_answer_past_its_deadline_is_told_so(batch_loop: Start) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    now = asyncio.get_running_loop().time()
    caller = loop.submit(endless([1], urgency=Urgency(deadline=now + 0.05)))
    await asyncio.sleep(0.1)
    gate.open()
    await caller.ended()
    assert isinstance(caller.errors[0], DeadlineExceeded)
    await loop.settled()
    assert 'penstock_inference_expired_total{model="fake"} 1.0' in loop.metrics.exposition().decode()


async def test_a_failed_step_ends_who_was_in_it_and_nobody_else(batch_loop: Start) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    running = loop.submit(endless([1]))
    await gate.entered()
    gate.failure = RuntimeError("boom")
    waiting = loop.submit(make_sequence([2, 3]))
    gate.open()
    await running.ended()
    await waiting.ended()
    assert isinstance(running.errors[0], Internal)
    assert "boom" not in str(running.errors[0])
    assert waiting.errors == []
    assert waiting.text == TOKENIZER.decode(greedy_answer([2, 3], 8))
    await loop.batcher.check()


class Defect(Answer):
    """An answer whose text cannot be made of its third token."""

    def accept(self, token: int, logprob: TokenLogprob | None = None) -> Delta:
        delta = super().accept(token, logprob)
        if delta.completion_tokens == 3:
            raise RecursionError("boom")
        return delta


async def test_a_defect_in_one_answers_text_ends_nobody_elses(batch_loop: Start, journal: Journal) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    healthy = loop.submit(endless([1, 2]))
    sick = Caller([sequence := endless([3, 4])])
    sick.job.answers[0] = Defect(sequence.ends, AnswerText(TOKENIZER, ()))
    loop.batcher.submit(sick.job)
    gate.open()
    for caller in (healthy, sick):
        await caller.ended()
    await loop.settled()
    assert [(error.reason, "boom" in error.message) for error in sick.errors] == [("INTERNAL", False)]
    assert healthy.text == TOKENIZER.decode(greedy_answer([1, 2], 40, frozenset()))
    (attempt,) = journal.usage(sick.attempt.operation_id)
    assert (attempt.completion_tokens, attempt.ended) == (2, True)
    loop.scheduler.check_integrity()


async def test_a_row_whose_numbers_overflow_fails_alone_and_the_others_go_on_untouched(
    batch_loop: Start, journal: Journal
) -> None:
    engine = FakeEngine()
    overflowing, gate = overflow(engine, answer_tokens=2), Gate(engine)
    loop = batch_loop(engine)
    healthy = [loop.submit(endless([place, 2])) for place in (1, 2)]
    sick = loop.submit(endless(overflowing))
    gate.open()
    for caller in (sick, *healthy):
        await caller.ended()
    await loop.settled()
    assert [(error.reason, "not finite" in error.message) for error in sick.errors] == [("INTERNAL", True)]
    assert sick.text == TOKENIZER.decode(greedy_answer(overflowing, 2, frozenset()))
    (attempt,) = journal.usage(sick.attempt.operation_id)
    assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.ended) == (6, 2, True)
    for place, caller in enumerate(healthy, 1):
        assert caller.errors == []
        assert caller.text == TOKENIZER.decode(greedy_answer([place, 2], 40, frozenset()))
    read = [tuple(chunk.tokens) for batch in engine.batches for chunk in batch.prefills]
    assert sorted(read) == [(1, 2), (2, 2), (9, 9), (9, 9, 9, 9)]  # nobody had to begin again
    loop.scheduler.check_integrity()
    await loop.batcher.check()
    assert 'engine_faults_total{model="fake"} 1.0' in loop.metrics.exposition().decode()


async def test_what_an_overflow_left_in_a_slot_is_not_reused(batch_loop: Start) -> None:
    engine = FakeEngine()
    compute = engine.step
    overflowing = overflow(engine, answer_tokens=0)
    loop = batch_loop(engine)
    await loop.submit(make_sequence(overflowing)).ended()
    engine.step = compute
    again = make_sequence(overflowing)
    await loop.submit(again).ended()
    assert again.cached_tokens == 0
    assert again.tokens == greedy_answer(overflowing, 8)


async def test_an_overflow_in_a_prompt_that_is_scored_fails_the_request_and_no_other(
    batch_loop: Start,
) -> None:
    engine = FakeEngine()
    compute = engine.step

    def step(batch):
        logits, row = compute(batch), len(batch.decode)
        for chunk in batch.prefills:
            if chunk.wants_all_logits:
                logits[row, 3] = float("inf")
            row += chunk.logit_rows
        return logits

    engine.step = step
    loop = batch_loop(engine)
    healthy = loop.submit(make_sequence([1, 2]))
    sick = loop.submit(make_sequence([3, 4], max_tokens=1, scores_prompt=True))
    await sick.ended()
    await healthy.ended()
    assert [error.reason for error in sick.errors] == ["INTERNAL"]
    assert sick.text == ""
    assert healthy.text == TOKENIZER.decode(greedy_answer([1, 2], 8))
    await loop.settled()


@pytest.mark.parametrize("adapter", [None, "mine"])
async def test_a_model_that_gives_only_nonsense_is_unhealthy_and_one_whose_adapter_does_is_not(
    batch_loop: Start, adapter: str | None
) -> None:
    engine = FakeEngine()
    overflowing = overflow(engine, answer_tokens=0)
    loop = batch_loop(engine)
    loop.batcher.take("mine")
    for _ in range(FAULTS_MAX):
        await loop.batcher.check()
        sequence = make_sequence(overflowing)
        sequence.adapter = adapter
        await loop.submit(sequence).ended()
        await loop.settled()
    if adapter is None:
        with pytest.raises(Unavailable):
            await loop.batcher.check()
    await loop.submit(make_sequence([1])).ended()
    await loop.batcher.check()


async def test_an_engine_that_always_fails_makes_the_model_unhealthy_until_it_works_again(
    batch_loop: Start,
) -> None:
    engine = FakeEngine()
    engine.before_step = _fail
    loop = batch_loop(engine)
    for _ in range(FAULTS_MAX):
        await loop.batcher.check()
        caller = loop.submit(make_sequence([1]))
        await caller.ended()
        assert isinstance(caller.errors[0], Internal)
    with pytest.raises(Unavailable):
        await loop.batcher.check()
    engine.before_step = lambda: None
    healed = loop.submit(make_sequence([1]))
    await healed.ended()
    assert healed.errors == []
    await loop.batcher.check()


async def test_a_loop_that_cannot_go_on_lets_go_of_all_who_wait(batch_loop: Start) -> None:
    class BrokenScheduler(Scheduler):
        def plan(self, now: float) -> Plan:
            raise RuntimeError("boom")

    loop = batch_loop(scheduler=BrokenScheduler(LIMITS, waiting_max=64))
    callers = [loop.submit(make_sequence([1])) for _ in range(30)]
    for caller in callers:
        await caller.ended()
        assert len(caller.errors) == 1
    assert loop.scheduler.idle


async def test_books_that_do_not_agree_are_noticed_when_idle_and_nothing_old_is_reused(
    batch_loop: Start,
) -> None:
    loop = batch_loop()
    prompt = [*range(1, 11)]
    await loop.submit(make_sequence(prompt)).ended()
    await loop.settled()
    loop.scheduler._slots.prefixes._slots[b"a chunk that nobody computed"].add(0)
    again = make_sequence([60])
    await loop.submit(again).ended()
    await loop.settled()
    await until(lambda: loop.batcher._metrics.faults._value.get() == 1.0)
    third = make_sequence(prompt)
    await loop.submit(third).ended()
    assert third.cached_tokens == 0
    assert third.tokens == greedy_answer(prompt, 8)


async def test_no_token_leaves_that_the_journal_did_not_take(
    tmp_path: Path, batch_loop: Start, journal: Journal
) -> None:
    loop = batch_loop()
    (tmp_path / "journal").rename(tmp_path / "away")
    caller = loop.submit(make_sequence([1]))
    await caller.ended()
    assert [error.reason for error in caller.errors] == ["STORAGE_UNAVAILABLE"]
    assert caller.text == ""
    with pytest.raises(Unavailable):
        await journal.check()
    (tmp_path / "away").rename(tmp_path / "journal")
    again = loop.submit(make_sequence([1]))
    await again.ended()
    assert again.errors == []
    await journal.check()


async def test_who_gave_up_before_a_slot_was_free_used_nothing(batch_loop: Start, journal: Journal) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    running = [loop.submit(endless([1])) for _ in range(LIMITS.slots_max)]
    waiting = loop.submit(endless([2]))
    await gate.entered()
    loop.batcher.cancel(waiting.job)
    gate.open()
    for caller in running:
        await caller.ended()
    await loop.settled()
    (attempt,) = journal.usage(waiting.attempt.operation_id)
    assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.ended) == (0, 0, True)
    assert waiting.outcomes == []
    exposition = loop.metrics.exposition().decode()
    assert 'penstock_inference_cancelled_total{model="fake"} 1.0' in exposition
    assert 'penstock_inference_expired_total{model="fake"} 0.0' in exposition


async def test_several_answers_to_a_request_pay_for_its_prompt_once(
    batch_loop: Start, journal: Journal
) -> None:
    loop = batch_loop()
    sequences = [endless([*range(1, 11)], key=(1, place)) for place in range(3)]
    caller = loop.submit(*sequences)
    await caller.ended()
    (attempt,) = journal.usage(caller.attempt.operation_id)
    assert attempt.prompt_tokens == 10
    assert attempt.cached_prompt_tokens == 0
    assert attempt.completion_tokens == sum(len(sequence.tokens) for sequence in sequences)
    assert attempt.ended


async def test_closing_tells_who_is_left(batch_loop: Start) -> None:
    engine = FakeEngine()
    gate = Gate(engine)
    loop = batch_loop(engine)
    callers = [loop.submit(endless([1])) for _ in range(6)]
    await gate.entered()
    closing = asyncio.create_task(asyncio.to_thread(loop.close))
    gate.open()
    await closing
    for caller in callers:
        await caller.ended()
        assert caller.errors[0].reason == "DRAINING"
    assert engine.closed
    with pytest.raises(Unavailable):
        loop.submit(make_sequence([1]))


async def test_an_idle_loop_uses_no_processor(batch_loop: Start) -> None:
    loop = batch_loop()
    await loop.submit(make_sequence([1])).ended()
    clock = time.pthread_getcpuclockid(loop.batcher._thread.ident)

    async def rests() -> bool:
        before = time.clock_gettime(clock)
        await asyncio.sleep(0.3)
        return time.clock_gettime(clock) == before

    await until(rests)


async def test_metrics_agree_with_what_was_produced(batch_loop: Start) -> None:
    loop = batch_loop()
    sequences = [endless([*range(1, 11)]) for _ in range(4)]
    for sequence in sequences:
        await loop.submit(sequence).ended()
    exposition = loop.metrics.exposition().decode()
    tokens = sum(len(sequence.tokens) for sequence in sequences)
    assert f'penstock_inference_completion_tokens_total{{model="fake"}} {float(tokens)}' in exposition
    assert 'penstock_inference_prompt_tokens_total{model="fake"} 16.0' in exposition
    assert 'penstock_inference_cached_prompt_tokens_total{model="fake"} 24.0' in exposition
    assert 'penstock_inference_first_token_seconds_count{model="fake"} 4.0' in exposition
    assert 'penstock_inference_queue_seconds_count{model="fake"} 4.0' in exposition
    assert 'penstock_inference_finished_total{model="fake",reason="length"} 4.0' in exposition
    assert f'penstock_inference_inter_token_seconds_count{{model="fake"}} {float(tokens - 4)}' in exposition
    assert LIMITS.slots_max == 4


def overflow(engine: FakeEngine, answer_tokens: int) -> list[int]:
    """Give a prompt whose answer overflows the engine's numbers after so many tokens."""
    prompt, compute = [9] * 6, engine.step

    def step(batch: StepBatch) -> Logits:
        logits = compute(batch)
        rows = [engine._rows[row.slot] for row in batch.decode]
        rows += [engine._rows[chunk.slot] for chunk in batch.prefills if chunk.wants_logits]
        for row, history in zip(logits, rows, strict=True):
            if history[: len(prompt)] == prompt and len(history) == len(prompt) + answer_tokens:
                row[3] = float("nan")
        return logits

    engine.step = step
    return prompt


def _fail() -> None:
    raise RuntimeError("boom")
