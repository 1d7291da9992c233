import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.engines import EngineLimits, Logits, StepBatch
from penstock_inference.engines.batch_check import check_batch
from penstock_inference.engines.fastest_kind import fastest_kind
from penstock_inference.engines.loading import load_engine
from penstock_inference.engines.setup import EngineSetup
from penstock_inference.settings import ModelSettings

KINDS = ("int8", "int4")


class BlankEngine:
    """Takes steps that keep the contract, and computes nothing."""

    limits = EngineLimits(8, slots_max=3, context_tokens_max=20, prefill_chunk_tokens_max=16)

    def __init__(self) -> None:
        self.written_rows = [0] * self.limits.slots_max
        self.closed = False

    def step(self, batch: StepBatch) -> Logits:
        check_batch(batch, self.limits, self.written_rows)
        for row in batch.decode:
            self.written_rows[row.slot] = row.past_tokens + 1
        for chunk in batch.prefills:
            self.written_rows[chunk.slot] = chunk.past_tokens + len(chunk.tokens)
        return np.zeros((1, 8), np.float32)

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


class Opener:
    """Opens blank engines and remembers them by kind."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, BlankEngine]] = []

    def __call__(self, setup: EngineSetup) -> BlankEngine:
        self.opened.append((setup.kind, BlankEngine()))
        return self.opened[-1][1]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.opened]


@pytest.fixture
def setup(tmp_path: Path) -> EngineSetup:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    return EngineSetup(source, "auto", 3, 20, 16, 1, tmp_path / "cache", lambda _: None)


def test_the_kind_that_took_the_least_time_is_chosen_and_every_engine_closed(setup):
    opener = Opener()

    chosen = fastest_kind(setup, KINDS, opener)

    (measured,) = setup.cache_dir.rglob("seconds.json")
    seconds = json.loads(measured.read_text())
    assert seconds.keys() == set(KINDS)
    assert seconds[chosen] == min(seconds.values())
    assert opener.kinds == [*KINDS, *reversed(KINDS)]
    assert all(engine.closed for _, engine in opener.opened)


def test_what_was_measured_once_is_remembered_for_the_same_conditions_only(setup):
    opener = Opener()
    chosen = fastest_kind(setup, KINDS, opener)

    assert fastest_kind(setup, KINDS[::-1], opener) == chosen
    assert len(opener.opened) == 4

    fastest_kind(replace(setup, threads=2), KINDS, opener)
    fastest_kind(replace(setup, threads=2), (*KINDS, "fp32"), opener)
    setup.source.write_bytes(b"other weights")
    fastest_kind(setup, KINDS, opener)
    assert len(opener.opened) == 4 + 4 + 6 + 4


def test_a_model_of_kind_auto_is_loaded_in_the_kind_that_was_chosen(llama, tmp_path):
    limits = {"slots_max": 2, "context_tokens_max": 32, "prefill_chunk_tokens_max": 16, "threads": 1}
    load = {"kind": "auto", "kinds": ("fp32", "int8"), "cache_dir": tmp_path, **limits}

    first, second = (load_engine(str(llama[0]), **load) for _ in range(2))

    assert first.kind in load["kinds"]
    assert first.fingerprint.startswith(f"decoder-{first.kind}-")
    assert (second.kind, second.fingerprint) == (first.kind, first.fingerprint)
    with pytest.raises(ValueError, match="'int2' is none of"):
        load_engine(str(llama[0]), **load | {"kinds": ("int8", "int2")})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"kind": "auto"}, "goes with kinds to choose from"),
        ({"kind": "int8", "kinds": ["int8", "int4"]}, "and they with it"),
        ({"kind": "auto", "kinds": ["int8", "bf16"]}, "has no kind bf16"),
        ({"kind": "auto", "kinds": ["bf16"], "engine": "torch"}, "engine torch has no kind auto"),
    ],
)
def test_settings_that_leave_nothing_to_choose_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        ModelSettings(id="mine", reference="/models/mine.gguf", **settings)
