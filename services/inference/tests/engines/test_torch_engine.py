"""The PyTorch engine: what it shares with no other, and that it keeps the contract of all."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from engine_steps import PROMPTS, alone, decode, prefill
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.loading import load_engine
from penstock_inference.settings import ModelSettings

ROUNDING = 1e-4  # of logits whose standard deviation is 1


@pytest.fixture(scope="module")
def open_torch(llama, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    """Open an engine on the small Llama."""

    def open_engine(kind: str = "fp32", **changes: int) -> Engine:
        settings = {"slots_max": 6, "context_tokens_max": 96, "prefill_chunk_tokens_max": 40}
        cache_dir = tmp_path_factory.mktemp("unused")
        settings |= {"threads": 1} | changes
        return load_engine(str(llama[0]), engine="torch", kind=kind, cache_dir=cache_dir, **settings).engine

    return open_engine


@pytest.fixture
def engine(open_torch: Callable[..., Engine]) -> Iterator[Engine]:
    engine = open_torch()
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("kind", "rounding"), [("fp32", ROUNDING), ("bf16", 0.2), ("int8", 0.2), ("fp8", 0.2)]
)
def test_sequences_and_chunks_in_one_step_get_what_each_gets_alone_to_rounding(open_torch, kind, rounding):
    engine = open_torch(kind)
    expected = [alone(engine, prompt, 50 + place) for place, prompt in enumerate(PROMPTS[:4])]
    expected.append(prefill(engine, 5, PROMPTS[4]))
    for slot, prompt in enumerate(PROMPTS[:4]):
        prefill(engine, slot, prompt)
    rows = [DecodeRow(slot, 50 + slot, len(prompt)) for slot, prompt in enumerate(PROMPTS[:4])]

    together = engine.step(StepBatch(rows[::-1], [PrefillChunk(5, PROMPTS[4], 0, wants_logits=True)]))

    assert np.abs(together - [*expected[3::-1], expected[4]]).max() < rounding


def test_the_same_step_gives_the_same_bits_again(engine):
    for slot, prompt in enumerate(PROMPTS):
        prefill(engine, slot, prompt)
    rows = [(slot, 50, len(prompt)) for slot, prompt in enumerate(PROMPTS)]
    assert np.array_equal(decode(engine, *rows), decode(engine, *rows))


def test_a_copied_slot_shares_its_blocks_and_both_go_on_by_themselves(engine):
    expected = [alone(engine, PROMPTS[1], token) for token in (50, 60)]
    prefill(engine, 0, PROMPTS[1])
    prefill(engine, 3, PROMPTS[3])

    engine.copy_slot(0, 3, len(PROMPTS[1]))
    both = decode(engine, (0, 50, len(PROMPTS[1])), (3, 60, len(PROMPTS[1])))

    assert np.abs(both - expected).max() < ROUNDING


def test_a_prompt_across_blocks_and_chunks_gives_what_it_gives_whole(engine):
    tokens = [7 * place % 320 for place in range(80)]
    prefill(engine, 0, tokens[:40])
    whole = prefill(engine, 0, tokens[40:], past=40)
    for size in (7, 16):
        for start in range(0, 80, size):
            last = prefill(engine, 1, tokens[start : start + size], past=start)
        assert np.abs(last - whole).max() < ROUNDING


def test_every_token_s_logits_come_when_they_are_wanted(engine):
    chunk = PrefillChunk(0, PROMPTS[4], 0, wants_logits=True, wants_all_logits=True)
    rows = engine.step(StepBatch([], [chunk]))
    assert len(rows) == len(PROMPTS[4])
    assert np.abs(rows[2] - prefill(engine, 1, PROMPTS[4][:3])).max() < ROUNDING


def test_a_slot_is_used_again_without_a_trace_of_nonsense_that_it_held(engine):
    expected = alone(engine, PROMPTS[0], 50)
    prefill(engine, 0, PROMPTS[1])
    keys, _ = engine._pool.layer(0)
    keys[engine._pool.tables.held(0)] = float("nan")
    assert np.isnan(decode(engine, (0, 1, len(PROMPTS[1])))).any()

    assert np.abs(alone(engine, PROMPTS[0], 50) - expected).max() < ROUNDING


def test_a_short_sequence_is_not_touched_by_nonsense_in_blocks_that_are_not_its_own(engine):
    long = [place % 320 for place in range(80)]
    expected = alone(engine, PROMPTS[0], 50)
    for slot in (0, 1):
        prefill(engine, slot, long[:40])
        prefill(engine, slot, long[40:], past=40)
    prefill(engine, 0, PROMPTS[0])
    others = sorted({*range(engine._pool.spare_block)} - {*engine._pool.tables.held(0)})
    for blocks in engine._pool.layer(0):
        blocks[others] = float("nan")

    short, other = decode(engine, (0, 50, len(PROMPTS[0])), (1, 1, 80))

    assert np.isnan(other).any()
    assert np.abs(short - expected).max() < ROUNDING


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        (StepBatch([]), "at least one"),
        (StepBatch([DecodeRow(0, 1, 4)]), "holds 3 rows, not 4"),
        (StepBatch([DecodeRow(0, 320, 3)]), "between 0 and 319"),
        (StepBatch([DecodeRow(0, 1, 3, adapter="lost")]), "no adapter lost"),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused_and_changes_nothing(engine, batch, complaint):
    expected = alone(engine, PROMPTS[0], 50)
    prefill(engine, 0, PROMPTS[0])
    with pytest.raises(ValueError, match=complaint):
        engine.step(batch)
    assert np.abs(decode(engine, (0, 50, 3))[0] - expected).max() < ROUNDING


def test_memory_is_held_for_weights_and_for_all_rows(llama, tmp_path):
    held: list[int] = []
    settings = {"slots_max": 4, "context_tokens_max": 64, "prefill_chunk_tokens_max": 32, "threads": 1}
    for kind in ("fp32", "bf16", "int8", "fp8"):
        load_engine(
            str(llama[0]), engine="torch", kind=kind, cache_dir=tmp_path, hold=held.append, **settings
        )
    parameters = sum(values.numel() for values in llama[1].parameters())
    kv_values = 3 * 2 * (4 * 2 + 1) * 32 * 2 * 16  # layers, both, blocks, rows, heads, dimensions
    rows = 3 * (96 + 2 * 32 + 96 + 2 * 160 + 96)  # of matrices: query, key, value, output, gate, up, down
    matrices = 3 * (96 * (96 + 2 * 32 + 96) + 3 * 96 * 160)
    floats = 2 * (parameters + kv_values)
    assert held == [2 * floats, floats, floats - matrices + 2 * rows, floats - matrices + 4 * rows]


def test_without_pytorch_the_engine_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import penstock_inference.server\n"
        "try: import penstock_inference.engines.torch_engine\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "the engine torch needs PyTorch: pip install 'penstock-inference[torch]'\n"


def test_a_kind_that_an_engine_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match="the engine torch has no kind int4: it has fp32, bf16, int8, fp8"):
        ModelSettings(id="x", reference="y", engine="torch", kind="int4")
