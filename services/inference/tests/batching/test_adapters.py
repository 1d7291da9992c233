"""Adapters in the batch loop: rows of one step are changed each by its own, and nothing of one reaches another."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the engine that takes adapters needs PyTorch")

from batching_fakes import LIMITS, Gate, Loop, make_sequence
from penstock_inference.engines import DecodeRow, Engine, Logits, PrefillChunk, StepBatch
from penstock_inference.engines.loading import load_engine
from penstock_inference.formats.lora import read_lora
from penstock_inference.sequence import Sequence, Urgency
from servicekit.errors import Unavailable
from small_decoder import CONFIG, merge, write_adapter, write_decoder

Start = Callable[..., Loop]
ADAPTERS = (None, "first", "second")


def open_engine(directory: Path) -> Engine:
    return load_engine(
        str(directory),
        engine="torch",
        kind="fp32",
        slots_max=LIMITS.slots_max,
        context_tokens_max=LIMITS.context_tokens_max,
        prefill_chunk_tokens_max=LIMITS.prefill_chunk_tokens_max,
        threads=1,
        cache_dir=directory,
    ).engine


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Path]:
    """A decoder, two adapters, and what each of them makes of it."""
    place = tmp_path_factory.mktemp("decoders")
    decoder = write_decoder(place / "decoder")
    adapters = {
        name: write_adapter(place / name, seed) for seed, name in enumerate(ADAPTERS) if name is not None
    }
    merged = {name: merge(decoder, adapter, place / f"merged-{name}") for name, adapter in adapters.items()}
    return {None: decoder, **adapters} | {f"merged {name}": path for name, path in merged.items()}


@pytest.fixture
def adapted(directories: dict[str | None, Path]) -> Engine:
    """An engine that has both adapters."""
    engine = open_engine(directories[None])
    for name in ADAPTERS[1:]:
        engine.adapters.add(name, read_lora(directories[name], CONFIG), lambda _: None)
    return engine


@pytest.fixture(scope="module")
def alone(directories: dict[str | None, Path]) -> Callable[..., list[int]]:
    """Answer greedily by the merged weights, one by one, each token by itself."""
    engines = {name: open_engine(directories[f"merged {name}" if name else None]) for name in ADAPTERS}

    def answer(asked: Sequence) -> list[int]:
        answer: list[int] = []
        while len(answer) < asked.ends.max_tokens and asked.ends.end_tokens.isdisjoint(answer[-1:]):
            known = [*asked.prompt, *answer]
            for past in range(len(answer) and len(known) - 1, len(known)):
                logits = engines[asked.adapter].step(StepBatch([DecodeRow(0, known[past], past)]))
            answer.append(int(logits[0].argmax()))
        return answer

    return answer


def test_rows_of_one_step_get_what_merged_weights_give_each_alone(adapted, directories):
    prompts = [[1, 2, 3], [4, 5, 6, 7], [8], [9, 10]]
    names = [None, "first", "second", "first"]
    expected = []
    for prompt, name in zip(prompts, names, strict=True):
        merged = open_engine(directories[f"merged {name}" if name else None])
        chunk = PrefillChunk(0, prompt, 0, wants_logits=True)
        expected.append(merged.step(StepBatch([], [chunk]))[0])
        expected.append(merged.step(StepBatch([DecodeRow(0, 5, len(prompt))]))[0])

    given = []
    for slot, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
        chunk = PrefillChunk(slot, prompt, 0, wants_logits=True, adapter=name)
        given.append(adapted.step(StepBatch([], [chunk]))[0])
    rows = [DecodeRow(slot, 5, len(prompts[slot]), names[slot]) for slot in range(4)]
    decoded = adapted.step(StepBatch(rows))

    assert np.abs(np.array(given) - expected[::2]).max() < 1e-4
    assert np.abs(decoded - expected[1::2]).max() < 1e-4
    plain = adapted.step(StepBatch([DecodeRow(slot, 5, len(prompts[slot])) for slot in range(4)]))
    assert np.abs(plain - decoded)[1:].max() > 1


async def test_random_traffic_on_adapters_is_answered_as_merged_weights_answer_one_by_one(
    batch_loop: Start, adapted: Engine, alone: Callable[..., list[int]]
) -> None:
    loop, gate, dice = batch_loop(adapted), gated(adapted), random.Random(20261121)
    for name in ADAPTERS[1:]:
        loop.batcher.take(name)
    patient = [
        make_sequence([1], max_tokens=40, urgency=Urgency(priority=10), end_tokens=frozenset())
        for _ in range(4)
    ]
    taken = [(loop.submit(sequence), sequence) for sequence in patient]
    gate.let_go(2)
    for _ in range(3):
        await gate.entered()
    for number in range(70):
        if number == 10:  # some that are more urgent wait now
            gate.open()
        prompt = [dice.randint(1, 2)] * 8 + [dice.randint(1, 3) for _ in range(dice.randint(1, 6))]
        sequence = random_sequence(dice, prompt)
        taken.append((await loop.submit_when_there_is_room(sequence), sequence))
        if dice.random() < 0.2:
            loop.batcher.cancel(dice.choice(taken)[0].job)
        await asyncio.sleep(dice.choice([0, 0, 0.002]))
    await loop.settled()
    loop.scheduler.check_integrity()
    adapted._pool.tables.check_integrity()
    whole = [sequence for _, sequence in taken if not sequence.cancelled]
    for sequence in whole:
        assert sequence.tokens == alone(sequence)
    assert len(whole) > 30
    assert any(sequence.preemptions for sequence in whole)
    assert any(sequence.cached_tokens for sequence in whole)


def gated(engine: Engine) -> Gate:
    """Hold the steps of a real engine as those of the one written by hand."""
    step = engine.step

    def gated_step(batch: StepBatch) -> Logits:
        engine.before_step()
        return step(batch)

    engine.step = gated_step
    return Gate(engine)


def random_sequence(dice: random.Random, prompt: list[int]) -> Sequence:
    sequence = make_sequence(
        prompt, max_tokens=dice.randint(1, 20), urgency=Urgency(priority=dice.randint(1, 10))
    )
    sequence.adapter = dice.choice(ADAPTERS)
    return sequence


async def test_what_one_adapter_read_is_not_reused_by_another(batch_loop: Start, adapted: Engine) -> None:
    loop = batch_loop(adapted)
    loop.batcher.take("first")
    cached = []
    for name in (None, "first", "first", None):
        sequence = make_sequence([*range(1, 11)])
        sequence.adapter = name
        await loop.submit(sequence).ended()
        cached.append(sequence.cached_tokens)
    assert cached == [0, 0, 8, 8]


async def test_an_adapter_leaves_while_others_answer_and_tells_who_is_left(
    batch_loop: Start, adapted: Engine, alone: Callable[..., list[int]]
) -> None:
    loop = batch_loop(adapted)
    loop.batcher.take("first")
    staying = make_sequence([1, 2, 3], max_tokens=40, end_tokens=frozenset())
    leaving = make_sequence([1, 2, 3], max_tokens=40, end_tokens=frozenset())
    leaving.adapter = "first"
    left, stayed = loop.submit(leaving), loop.submit(staying)

    await asyncio.to_thread(loop.batcher.drain, 0, "first")
    await asyncio.to_thread(loop.batcher.dismiss, "first")
    adapted.adapters.remove("first")

    await left.ended()
    assert left.finish_reasons or [error.reason for error in left.errors] == ["DRAINING"]
    with pytest.raises(Unavailable):
        loop.submit(leaving)
    await stayed.ended()
    assert stayed.errors == []
    assert len(staying.tokens) == 40
    await loop.batcher.check()
