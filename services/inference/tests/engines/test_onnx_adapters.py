"""Adapters on the default engine: exact, whoever else is in the step, and gone without a trace."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_steps import decode, prefill
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.loading import LoadedModel, load_engine
from penstock_inference.formats.lora import read_lora
from safetensors.numpy import load_file, save_file
from small_decoder import CONFIG, merge, write_adapter, write_decoder

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
CONTEXT = len(PROMPT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder, adapters of it, and the decoder with the first adapter added to its weights."""
    directory = tmp_path_factory.mktemp("adapted")
    write_decoder(directory / "base")
    for seed in range(4):
        write_adapter(directory / f"adapter-{seed}", seed)
    merge(directory / "base", directory / "adapter-0", directory / "merged")
    return directory


@pytest.fixture(scope="module")
def load(files: Path) -> Callable[..., LoadedModel]:
    def load(name: str = "base", **changes: object) -> LoadedModel:
        settings = {
            "kind": "int8",
            "slots_max": 6,
            "context_tokens_max": 64,
            "prefill_chunk_tokens_max": 32,
            "threads": 2,
            "cache_dir": files / "cache",
        }
        return load_engine(str(files / name), **(settings | changes))

    return load


def add(model: LoadedModel, files: Path, *seeds: int) -> list[int]:
    held: list[int] = []
    for seed in seeds:
        weights = read_lora(files / f"adapter-{seed}", CONFIG)
        model.adapters.add(f"a{seed}", weights, held.append)
    return held


def read(engine: Engine, slot: int, adapter: str | None, cuts: tuple[int, ...] = (CONTEXT,)) -> np.ndarray:
    """Read the prompt in pieces, and give the last token's logits."""
    past = 0
    for tokens in cuts:
        chunk = PrefillChunk(slot, PROMPT[past : past + tokens], past, wants_logits=True, adapter=adapter)
        logits = engine.step(StepBatch([], [chunk]))
        past += tokens
    return logits[0].copy()


def say(engine: Engine, *rows: tuple[int, int, str | None]) -> np.ndarray:
    """Decode a token behind the prompt in each slot."""
    return engine.step(
        StepBatch([DecodeRow(slot, token, CONTEXT, name) for slot, token, name in rows])
    ).copy()


@pytest.mark.parametrize("kind", ["fp32", "int8", "int4"])
def test_an_adapter_gives_what_the_model_with_its_products_added_gives(load, files, kind) -> None:
    adapted, merged, base = load(kind=kind), load("merged", kind="fp32"), load(kind=kind)
    add(adapted, files, 0, 1)
    expected = [read(merged.engine, 0, None), say(merged.engine, (0, 7, None))[0]]
    found = [read(adapted.engine, 0, "a0"), say(adapted.engine, (0, 7, "a0"))[0]]
    unchanged = [read(base.engine, 0, None), say(base.engine, (0, 7, None))[0]]
    spread = np.std(expected)
    tolerance = {"fp32": 1e-5, "int8": 0.05, "int4": 0.5}[kind]
    assert np.std(np.subtract(found, expected)) < tolerance * spread
    assert np.std(np.subtract(unchanged, expected)) > 0.3 * spread


def test_a_row_gets_the_same_bits_whatever_is_in_its_step_and_whichever_adapters_there_are(
    load, files
) -> None:
    lonely, busy, plain = load(), load(), load()
    add(lonely, files, 2)
    add(busy, files, 0, 1, 2, 3)
    expected_prompt, expected = read(lonely.engine, 3, "a2"), say(lonely.engine, (3, 7, "a2"))[0]
    names = ["a0", None, "a1", "a2", "a2", "a3"]
    prompts = [
        read(busy.engine, slot, name, cuts) for slot, (name, cuts) in enumerate(zip(names, CUTS, strict=True))
    ]
    rows = [(slot, 7, name) for slot, name in enumerate(names)]
    together = say(busy.engine, *rows)
    assert np.array_equal(prompts[3], expected_prompt)
    assert np.array_equal(prompts[4], expected_prompt)
    assert np.array_equal(together[3], expected)
    assert np.array_equal(together[4], expected)
    assert np.array_equal(read(plain.engine, 1, None), prompts[1])
    assert np.array_equal(say(plain.engine, (1, 7, None))[0], together[1])
    assert len({row.tobytes() for row in together}) == 5


def test_tokens_ahead_get_the_bits_of_one_a_step(load, files) -> None:
    engine, names, answer = (model := load()).engine, ["a0", None, "a1"], [7, 8, 9]
    add(model, files, 0, 1)
    for slot, name in enumerate(names):
        read(engine, slot, name)
    one_by_one = np.stack(
        [
            engine.step(
                StepBatch([DecodeRow(slot, token, CONTEXT + place, name) for slot, name in enumerate(names)])
            ).copy()
            for place, token in enumerate(answer)
        ],
        axis=1,
    )
    rows = [DecodeRow(slot, answer[0], CONTEXT, name, answer[1:]) for slot, name in enumerate(names)]
    assert np.array_equal(engine.step(StepBatch(rows)), one_by_one.reshape(9, -1))


CUTS = [(CONTEXT,), (4, 8), (CONTEXT,), (2, 7, 3), (6, 6), (CONTEXT,)]


def test_adapters_come_and_go_between_steps_and_the_others_go_on_as_they_were(load, files) -> None:
    model = load()
    add(model, files, 1)
    read(model.engine, 0, "a1")
    expected = say(model.engine, (0, 7, "a1"))
    add(model, files, 0, 2)
    assert np.array_equal(say(model.engine, (0, 7, "a1")), expected)
    model.adapters.remove("a0")
    assert np.array_equal(say(model.engine, (0, 7, "a1")), expected)
    for name in ("a1", "a2"):
        model.adapters.remove(name)
    with pytest.raises(ValueError, match="no adapter a1"):
        say(model.engine, (0, 7, "a1"))
    prefill(model.engine, 0, PROMPT)
    assert np.array_equal(decode(model.engine, (0, 7, CONTEXT)), decode(load_plain(load), (0, 7, CONTEXT)))


def load_plain(load: Callable[..., LoadedModel]) -> Engine:
    engine = load().engine
    prefill(engine, 0, PROMPT)
    return engine


def test_the_second_graph_takes_memory_only_while_there_are_adapters(load, files) -> None:
    held: list[int] = []
    model = load(hold=held.append)
    sizes = add(model, files, 0, 1)
    for name in ("a0", "a1"):
        model.adapters.remove(name)
    alone, adapted, after = held
    assert (after == alone, adapted > alone) == (True, True)
    width = {
        "attention": 16,
        "output": 16,
        "gate_up": 16,
        "down": 16,
    }  # 3, 1, 2 and 1 times 4, in groups of 16
    dims = {"attention": 64 + 128, "output": 64 + 64, "gate_up": 64 + 192, "down": 96 + 64}
    assert sizes == [4 * CONFIG.layers * sum(width[matrix] * dims[matrix] for matrix in width)] * 2


def test_what_overflows_in_one_adapter_reaches_no_other(load, files, tmp_path) -> None:
    weights = load_file(write_adapter(tmp_path / "adapter-9", 9) / "adapter_model.safetensors")
    huge = {name: values * np.float32(1e30) for name, values in weights.items()}
    save_file(huge, tmp_path / "adapter-9" / "adapter_model.safetensors")
    model = load()
    add(model, files, 0)
    read(model.engine, 0, "a0")
    expected = say(model.engine, (0, 7, "a0"))[0]
    add(model, tmp_path, 9)
    read(model.engine, 1, "a9")
    together = say(model.engine, (0, 7, "a0"), (1, 7, "a9"))
    assert np.array_equal(together[0], expected)
    assert not np.isfinite(together[1]).all()
