"""What steps take at least, counted by hand."""

import pytest
from penstock_inference.engines import DecodeRow, PrefillChunk, StepBatch
from penstock_inference.engines.kv_blocks import BLOCK_ROWS, KvBlocks, kv_dtype
from penstock_inference.formats import ModelConfig
from penstock_inference.formats.rotary import Rotary
from penstock_inference.work import Work, WorkModel

CONFIG = ModelConfig(
    architecture="llama",
    layers=2,
    hidden_size=64,
    heads=4,
    kv_heads=2,
    head_dim=16,
    feed_forward_size=100,
    vocabulary_tokens=1000,
    rotary=Rotary((1.0,) * 8, 1.0),
    rms_epsilon=1e-5,
    context_tokens=128,
    tied_embeddings=True,
    eos_ids=(0,),
    chat_template=None,
    special_tokens={},
)
LAYERS = 2 * 64 * (64 + 32 + 32 + 64 + 3 * 100)
HEAD = 1000 * 64
KV_ROW = 2 * 2 * 32  # keys and values of both layers


def test_a_decoded_token_reads_all_weights_and_every_row_before_it() -> None:
    work = WorkModel.of(CONFIG, "int8").of_step(StepBatch([DecodeRow(0, 1, 10)]))
    assert work == Work(2 * (LAYERS + HEAD) + 4 * 128 * 11, LAYERS + HEAD + 10 * KV_ROW * 2)


@pytest.mark.parametrize("kind", ["int8", "fp32"])
def test_keys_and_values_are_as_wide_as_the_engine_keeps_them(kind: str) -> None:
    blocks = KvBlocks.size_bytes(CONFIG, kv_dtype(kind), slots=1, rows=BLOCK_ROWS)
    assert WorkModel.of(CONFIG, kind).kv_row_bytes * BLOCK_ROWS == blocks


def test_tokens_of_a_chunk_look_at_those_before_them_and_read_the_weights_once() -> None:
    chunk = PrefillChunk(0, [1, 2, 3], past_tokens=5, wants_logits=False)
    work = WorkModel.of(CONFIG, "bf16").of_step(StepBatch([], [chunk]))
    assert work == Work(2 * 3 * LAYERS + 4 * 128 * (6 + 7 + 8), 2 * LAYERS + 5 * KV_ROW * 2)


def test_the_parts_of_a_mixed_step_share_the_weights() -> None:
    model = WorkModel.of(CONFIG, "fp32")
    row, chunk = DecodeRow(0, 1, 10), PrefillChunk(1, [1, 2], past_tokens=0, wants_logits=True)
    both, one, other = map(
        model.of_step, (StepBatch([row], [chunk]), StepBatch([row]), StepBatch([], [chunk]))
    )
    assert both.flops == one.flops + other.flops
    assert both.read_bytes == one.read_bytes
