import random
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from engine_steps import PROMPTS, alone, decode, prefill
from penstock_inference.engines import DecodeRow, PrefillChunk, StepBatch
from penstock_inference.engines.conversion.calibration import TEXTS


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_sequences_of_different_lengths_in_one_step_get_what_each_gets_alone(open_llama, kind):
    engine = open_llama(kind)
    expected = [alone(engine, prompt, 50 + i) for i, prompt in enumerate(PROMPTS)]
    for slot, prompt in enumerate(PROMPTS):
        prefill(engine, slot, prompt)

    together = decode(engine, *((slot, 50 + slot, len(prompt)) for slot, prompt in enumerate(PROMPTS)))

    assert np.array_equal(together, expected)


def test_rows_come_in_the_order_they_were_asked_for(engine):
    for slot, prompt in enumerate(PROMPTS):
        prefill(engine, slot, prompt)
    rows = [(slot, 50 + slot, len(prompt)) for slot, prompt in enumerate(PROMPTS)]
    expected = decode(engine, *rows)
    order = [3, 0, 4, 2, 1]

    assert np.array_equal(decode(engine, *(rows[i] for i in order)), expected[order])


def test_idle_slots_between_the_running_ones_keep_what_they_hold(engine):
    expected = [alone(engine, prompt, 50) for prompt in PROMPTS[:3]]
    for slot, prompt in enumerate(PROMPTS[:3]):
        prefill(engine, slot, prompt)

    outer = decode(engine, (0, 50, len(PROMPTS[0])), (2, 50, len(PROMPTS[2])))
    for step in range(5):
        decode(engine, (0, 60, len(PROMPTS[0]) + 1 + step), (2, 61, len(PROMPTS[2]) + 1 + step))
    inner = decode(engine, (1, 50, len(PROMPTS[1])))

    assert np.array_equal(outer, [expected[0], expected[2]])
    assert np.array_equal(inner[0], expected[1])


def test_an_idle_slot_that_is_full_does_not_hinder_its_neighbours(engine):
    full = engine.limits.context_tokens_max
    expected = [alone(engine, prompt, 50) for prompt in (PROMPTS[0], PROMPTS[2])]
    prefill(engine, 0, PROMPTS[0])
    prefill(engine, 2, PROMPTS[2])
    for start in range(0, full, 32):
        last = prefill(engine, 1, list(range(32)), past=start)

    neighbours = decode(engine, (0, 50, len(PROMPTS[0])), (2, 50, len(PROMPTS[2])))

    assert np.array_equal(neighbours, expected)
    assert np.array_equal(prefill(engine, 1, list(range(32)), past=full - 32), last)


def test_a_step_with_a_chunk_equals_the_two_steps_apart(engine):
    prefill(engine, 0, PROMPTS[0])
    prefill(engine, 3, PROMPTS[3])
    rows = [DecodeRow(0, 50, len(PROMPTS[0])), DecodeRow(3, 53, len(PROMPTS[3]))]
    chunk = PrefillChunk(1, PROMPTS[1], 0, wants_logits=True)
    apart = [*engine.step(StepBatch(rows)).copy(), prefill(engine, 1, PROMPTS[1])]

    together = engine.step(StepBatch(rows, [chunk]))

    assert np.array_equal(together, apart)


def test_a_chunk_that_is_not_a_prompt_s_last_gives_no_row(engine):
    chunk = PrefillChunk(0, [1, 2, 3], 0, wants_logits=False)

    assert engine.step(StepBatch([], [chunk])).shape == (0, engine.limits.vocabulary_tokens)


def test_a_prompt_in_chunks_gives_what_it_gives_whole(open_llama):
    engine = open_llama("fp32")
    tokens = PROMPTS[1]
    whole = prefill(engine, 0, tokens)
    for size in (1, 7, 16):
        for start in range(0, len(tokens), size):
            chunk = tokens[start : start + size]
            last = prefill(engine, 1, chunk, past=start)
        assert np.abs(last - whole).max() < 1e-5 * np.abs(whole).max()


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_prompt_has_the_same_bits_however_it_is_cut_and_whatever_else_is_in_the_steps(open_llama, kind):
    engine = open_llama(kind)
    dice = random.Random(20261121)
    tokens = [dice.randrange(engine.limits.vocabulary_tokens) for _ in range(61)]
    expected = read_in_cuts(engine, 0, tokens, [0, 32, 61])
    rows = held_rows(engine, 0, 61)

    for _ in range(20):
        cuts = random_cuts(dice, len(tokens), longest=32)
        neighbour = DecodeRow(2, 7, 0) if dice.random() < 0.5 else None
        assert np.array_equal(read_in_cuts(engine, 1, tokens, cuts, neighbour), expected), cuts
        assert np.array_equal(held_rows(engine, 1, 61), rows), cuts


def test_a_real_prompt_has_the_same_bits_however_it_is_cut(smollm2):
    engine, dice = smollm2.engine, random.Random(20261121)
    tokens = smollm2.tokenizer.encode(TEXTS.read_text(encoding="utf-8"), parse_special=False)[:300]
    expected = read_in_cuts(engine, 0, tokens, [0, 128, 256, 300])

    for slot in range(1, 4):
        cuts = random_cuts(dice, len(tokens), longest=128)
        assert np.array_equal(read_in_cuts(engine, slot, tokens, cuts), expected), cuts


def test_what_is_decoded_has_the_bits_of_what_is_read(open_llama):
    engine = open_llama()
    tokens = PROMPTS[1]
    whole = prefill(engine, 0, tokens)

    for past, token in enumerate(tokens):
        last = decode(engine, (1, token, past))[0]

    assert np.array_equal(last, whole)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_tokens_ahead_get_the_bits_of_one_a_step_and_wrong_ones_leave_no_trace(open_llama, kind):
    engine = open_llama(kind)
    prompt, answer = PROMPTS[1], [50, 60, 70, 80, 90, 100, 110]
    for slot in (0, 1, 2):
        prefill(engine, slot, prompt)
    expected = [decode(engine, (0, token, len(prompt) + place))[0] for place, token in enumerate(answer)]
    found, cuts = [], [0, 1, 4, 7]

    for step, (start, end) in enumerate(pairwise(cuts)):
        ahead = [*answer[start + 1 : end], *[3] * (9 * step)]
        row = DecodeRow(1, answer[start], len(prompt) + start, ahead=ahead)
        beside = DecodeRow(2, 50, len(prompt))
        logits = engine.step(StepBatch([row, beside], [PrefillChunk(3, [7, 8], 0, wants_logits=True)]))
        assert len(logits) == len(row.tokens) + 2
        assert np.array_equal(logits[len(row.tokens)], expected[0])
        found += [*logits[: end - start].copy()]
        engine.copy_slot(1, 4, len(prompt) + end)
        assert np.array_equal(
            decode(engine, (4, 5, len(prompt) + end)), decode(engine, (1, 5, len(prompt) + end))
        )

    assert np.array_equal(found, expected)


def test_tokens_ahead_are_refused_where_they_would_get_other_bits_or_are_too_many(open_llama):
    for kind, complaint in (("fp32", "one token of a sequence"), ("int8", "32 tokens of prompts and ahead")):
        engine = open_llama(kind)
        prefill(engine, 0, PROMPTS[0])
        batch = StepBatch(
            [DecodeRow(0, 5, 3, ahead=[6] * 25)], [PrefillChunk(1, [7] * 8, 0, wants_logits=True)]
        )
        with pytest.raises(ValueError, match=complaint):
            engine.step(batch)


def held_rows(engine, slot, rows):
    """Give what a slot holds as `[layers, 2, kv_heads, rows, head_dim]`."""
    blocks = engine._blocks
    held = blocks.tables.held(slot)
    keys, values = blocks.keys[:, held].swapaxes(3, 4), blocks.values[:, held]
    both = np.stack([keys, values], 1)  # [layers, 2, blocks, kv_heads, 16, head_dim]
    return both.swapaxes(2, 3).reshape(*both.shape[:2], both.shape[3], -1, both.shape[5])[:, :, :, :rows]


def read_in_cuts(engine, slot, tokens, cuts, neighbour=None):
    for start, end in pairwise(cuts):
        chunk = PrefillChunk(slot, tokens[start:end], start, wants_logits=True)
        last = engine.step(StepBatch([neighbour] if neighbour else [], [chunk]))[-1].copy()
    return last


def random_cuts(dice: random.Random, tokens: int, longest: int) -> list[int]:
    cuts = [0]
    while cuts[-1] < tokens:
        cuts.append(min(cuts[-1] + dice.randint(1, longest), tokens))
    return cuts


def test_decoding_continues_a_prompt_as_prefilling_would(open_llama):
    engine = open_llama("fp32")
    tokens = PROMPTS[1]
    whole = prefill(engine, 0, tokens)
    prefill(engine, 1, tokens[:1])
    for past, token in enumerate(tokens[1:], start=1):
        last = decode(engine, (1, token, past))[0]

    assert np.abs(last - whole).max() < 1e-5 * np.abs(whole).max()


def test_a_slot_is_used_again_without_a_trace_of_what_it_held(engine):
    expected = alone(engine, PROMPTS[0], 50)
    prefill(engine, 0, PROMPTS[1])

    assert np.array_equal(alone(engine, PROMPTS[0], 50), expected)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_nonsense_in_slots_stays_with_whose_it_is(open_llama, kind):
    engine = open_llama(kind)
    expected = alone(engine, PROMPTS[0], 50)
    rows = [(slot, 50, len(PROMPTS[0])) for slot in range(3)]
    engine._blocks.keys[:], engine._blocks.values[:] = np.nan, np.nan
    for slot in range(3):
        prefill(engine, slot, PROMPTS[0])
    engine._blocks.values[:, engine._blocks.tables.held(1)] = np.nan

    first, sick, third = decode(engine, *rows)

    assert np.isnan(sick).any()
    assert np.array_equal(first, expected)
    assert np.array_equal(third, expected)
    assert np.array_equal(alone(engine, PROMPTS[0], 50), expected)


def test_a_sequence_can_go_back_and_continue_otherwise(engine):
    expected = alone(engine, PROMPTS[0], 50)
    for past in range(3, 10):
        decode(engine, (0, 99, past))

    assert np.array_equal(decode(engine, (0, 50, 3))[0], expected)


def test_a_copied_slot_continues_as_the_original_does(engine):
    expected = alone(engine, PROMPTS[1], 50)
    prefill(engine, 0, PROMPTS[1])
    prefill(engine, 5, PROMPTS[3])

    engine.copy_slot(0, 5, len(PROMPTS[1]))

    assert np.array_equal(decode(engine, (5, 50, len(PROMPTS[1])))[0], expected)


def test_a_copied_prefix_continues_as_the_prefix_does(engine):
    expected = alone(engine, PROMPTS[1][:20], 50)
    prefill(engine, 0, PROMPTS[1])

    engine.copy_slot(0, 4, 20)

    assert np.array_equal(decode(engine, (4, 50, 20))[0], expected)


def test_more_rows_than_a_slot_holds_cannot_be_copied(engine):
    prefill(engine, 0, PROMPTS[0])

    with pytest.raises(ValueError, match="slot 0 holds 3 rows, not 4"):
        engine.copy_slot(0, 1, 4)


def test_the_last_row_of_a_slot_is_usable_and_the_next_is_refused(engine):
    full = engine.limits.context_tokens_max
    prefill(engine, 0, list(range(32)))
    prefill(engine, 0, list(range(31)), past=32)
    decode(engine, (0, 7, full - 1))

    with pytest.raises(ValueError, match="slot 0 is full"):
        decode(engine, (0, 7, full))


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        (StepBatch([]), "at least one"),
        (StepBatch([DecodeRow(0, 1, 3), DecodeRow(0, 2, 3)]), "twice"),
        (StepBatch([DecodeRow(0, 1, 3)], [PrefillChunk(0, [1], 3, wants_logits=True)]), "twice"),
        (StepBatch([DecodeRow(6, 1, 0)]), "no slot 6"),
        (StepBatch([DecodeRow(-1, 1, 0)]), "no slot -1"),
        (StepBatch([DecodeRow(0, 1, 4)]), "holds 3 rows, not 4"),
        (StepBatch([DecodeRow(0, 1, -1)]), "holds 3 rows, not -1"),
        (StepBatch([DecodeRow(0, 320, 3)]), "between 0 and 319"),
        (StepBatch([DecodeRow(0, -1, 3)]), "between 0 and 319"),
        (StepBatch([], [PrefillChunk(1, [], 0, wants_logits=True)]), "slot 1 is to compute no token"),
        (StepBatch([], [PrefillChunk(1, [1] * 33, 0, wants_logits=True)]), "a step takes 32 tokens"),
        (StepBatch([], [PrefillChunk(1, [1, 320, 1], 0, wants_logits=True)]), "between 0 and 319"),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused_and_changes_nothing(engine, batch, complaint):
    expected = alone(engine, PROMPTS[0], 50)
    prefill(engine, 0, PROMPTS[0])

    with pytest.raises(ValueError, match=complaint):
        engine.step(batch)

    assert np.array_equal(decode(engine, (0, 50, 3))[0], expected)


def test_many_shapes_in_turn_do_not_disturb_each_other(open_llama):
    engine = open_llama(slots_max=16)
    expected = alone(engine, PROMPTS[0], 50)
    for slot in range(16):
        prefill(engine, slot, PROMPTS[0])
    for first in range(16):
        for last in range(first, 16):
            rows = decode(engine, *((slot, 50, 3) for slot in range(first, last + 1)))
            assert np.array_equal(rows, [expected] * (last + 1 - first))


def test_slots_that_nobody_used_take_no_memory(open_llama):
    before = resident_bytes()
    engine = open_llama(slots_max=4096, context_tokens_max=256)  # 400 MB of rows
    prefill(engine, 4000, PROMPTS[0])

    assert resident_bytes() - before < 40 << 20


def test_closing_gives_the_memory_back(open_llama):
    engine = open_llama(slots_max=128, context_tokens_max=256)
    before = resident_bytes()
    for slot in range(128):
        for past in range(0, 256, 32):
            prefill(engine, slot, [1] * 32, past)
    used = resident_bytes() - before

    engine.close()

    assert used > 10 << 20
    assert resident_bytes() - before < used / 4


def resident_bytes() -> int:
    """Count page by page: the kernel's running total of a process may be some megabytes behind."""
    return (
        int(re.search(r"^Rss: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[1]) << 10
    )
