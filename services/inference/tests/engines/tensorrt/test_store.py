"""What is kept of built engines, and what is refused of it. No TensorRT is needed to keep files."""

from pathlib import Path

import pytest
from penstock_inference.engines.tensorrt import EngineRefusedError
from penstock_inference.engines.tensorrt.report import EngineReport, Kernel
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.engines.tensorrt.store import (
    PLAN,
    EngineRecord,
    EngineStore,
    StoredEngine,
    read_engine,
)

SPEC = EngineSpec("sm89", "bf16", 8, 1024, 128)
CHECKPOINT = "c0ffee" * 10
OURS = "tensorrt_rtx 1.7.1.116, 0123abcd"
REPORT = EngineReport(
    {"CONSTANT": 3},
    (),
    (Kernel(0, "_gemm_mha_v2_myl0_1", "kgen"),),
    5,
    (6, 7),
    plan_bytes=9,
    build_seconds=1.5,
)


def build(store: EngineStore, spec: EngineSpec = SPEC, checkpoint: str = CHECKPOINT) -> StoredEngine:
    def fill(directory: Path) -> EngineRecord:
        (directory / PLAN).write_bytes(b"the plan!")
        return EngineRecord("package:model", checkpoint, spec, store.built_by, REPORT)

    return store.build(checkpoint, spec, fill)


def test_what_was_built_is_found_with_all_that_is_known_of_it(tmp_path):
    built = build(EngineStore(tmp_path, OURS))

    found = EngineStore(tmp_path, OURS).open(CHECKPOINT, SPEC)

    assert found == built
    assert (found.directory / PLAN).read_bytes() == b"the plan!"
    assert found.record == EngineRecord("package:model", CHECKPOINT, SPEC, OURS, REPORT)
    assert found.id.startswith("c0ffeec0ffee-sm89-bf16-8x1024-128@")


@pytest.mark.parametrize(
    ("checkpoint", "spec"),
    [
        ("decade" * 10, SPEC),
        (CHECKPOINT, EngineSpec("sm80", "bf16", 8, 1024, 128)),
        (CHECKPOINT, EngineSpec("sm89", "fp16", 8, 1024, 128)),
        (CHECKPOINT, EngineSpec("sm89", "bf16", 8, 1024, 64)),
    ],
)
def test_an_engine_of_another_model_target_kind_or_shape_is_not_taken(tmp_path, checkpoint, spec):
    store = EngineStore(tmp_path, OURS)
    build(store)

    with pytest.raises(
        EngineRefusedError, match=f"no engine was built for {spec}: `penstock engine build` does"
    ):
        store.open(checkpoint, spec)


@pytest.mark.parametrize(
    "other", ["tensorrt_rtx 1.6.0.1, 0123abcd", "tensorrt 1.7.1.116, 0123abcd", "tensorrt_rtx 1.7.1.116, 99"]
)
def test_an_engine_of_another_library_version_or_code_is_stale_and_names_both(tmp_path, other):
    build(EngineStore(tmp_path, other))

    with pytest.raises(EngineRefusedError, match=f"was built by {other}, and this is {OURS}: build it again"):
        EngineStore(tmp_path, OURS).open(CHECKPOINT, SPEC)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, change, Path.unlink])
@pytest.mark.parametrize("name", [PLAN, "engine.json", "manifest.json"])
def test_a_damaged_engine_is_refused_and_built_again(tmp_path, name, damage):
    store = EngineStore(tmp_path, OURS)
    damage(build(store).directory / name)

    with pytest.raises(EngineRefusedError, match="is damaged: build it again"):
        store.open(CHECKPOINT, SPEC)

    build(store)
    assert store.open(CHECKPOINT, SPEC).record.report == REPORT


def test_an_engine_in_the_place_of_another_is_refused(tmp_path):
    store, other = EngineStore(tmp_path / "one", OURS), EngineStore(tmp_path / "two", OURS)
    place = build(store).directory
    moved = build(other, checkpoint="c0ffeec0ffee" + "00" * 26).directory
    place.rename(tmp_path / "gone")
    moved.rename(place)

    with pytest.raises(EngineRefusedError, match="is not what its name says: build it again"):
        store.open(CHECKPOINT, SPEC)


def test_a_build_that_fails_leaves_no_engine(tmp_path):
    store = EngineStore(tmp_path, OURS)

    def fail(directory: Path) -> EngineRecord:
        (directory / PLAN).write_bytes(b"half of i")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.build(CHECKPOINT, SPEC, fail)

    assert store.entries() == []
    assert build(store) == store.open(CHECKPOINT, SPEC)


def test_engines_are_listed_and_found_by_the_beginning_of_their_ids(tmp_path):
    store = EngineStore(tmp_path, OURS)
    assert store.entries() == []
    one = build(store)
    two = build(store, EngineSpec("sm120", "bf16", 8, 1024, 128))

    assert [read_engine(entry) for entry in store.entries()] == [two, one]
    assert store.find("c0ffeec0ffee-sm1") == two
    with pytest.raises(EngineRefusedError, match="2 engines have ids that begin with 'c0f'"):
        store.find("c0f")
    with pytest.raises(EngineRefusedError, match="no engines have ids that begin with 'x'"):
        store.find("x")
