"""`penstock engine`, with the real tool and real engines."""

import json

import pytest
from penstock_cli.app import main


@pytest.fixture
def penstock_engine(capsys, tmp_path, monkeypatch):
    """Run a command of `penstock engine`; give its exit code, standard output and standard error."""
    monkeypatch.setenv("PENSTOCK_INFERENCE_CACHE_DIR", str(tmp_path / "models"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["engine", *arguments])
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_an_engine_is_built_listed_and_inspected_and_refused_once_it_is_damaged(
    penstock_engine, llama, tmp_path
):
    shape = ["--slots", "4", "--context-tokens", "128", "--prefill-chunk-tokens", "32"]
    assert "No engine was built here" in penstock_engine("list")[1]

    code, out, err = penstock_engine("build", str(llama[0]), "--target", "sm89", *shape)
    assert (code, out.startswith("✓ ")) == (0, True)
    name = out.split()[1]
    served = json.loads(err.partition("PENSTOCK_INFERENCE_MODELS=")[2].strip().strip("'"))
    assert served[0] | {"reference": ""} == {
        "id": "mine",
        "reference": "",
        "engine": "tensorrt",
        "kind": "bf16",
        "slots": 4,
        "context_tokens": 128,
        "prefill_chunk_tokens": 32,
    }

    listed = json.loads(penstock_engine("list", "--json")[1])
    assert [(engine["id"], engine["state"]) for engine in listed] == [(name, "ready")]

    code, out, _ = penstock_engine("inspect", name[:12], "--kernels")
    shown = " ".join(out.split())
    assert code == 0
    assert "fused attention prefill 3, decode 3 of 3 layers" in shown
    assert "past_key_… in BF16 [-1, 2, 144, 16] [1, 2, 144, 16] [4, 2, 144, 16]" in shown
    assert "decode kgen _gemv_mha" in shown

    plan = next(tmp_path.rglob("engine.plan"))
    plan.write_bytes(plan.read_bytes()[:-100])
    code, _, err = penstock_engine("inspect", name)
    assert (code, err.strip()) == (1, f"✗ the engine {name} is damaged: build it again")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_whole_of_smollm2_builds_with_every_attention_fused(
    penstock_engine, model_cache_dir, monkeypatch
):
    """Built when TensorRT or our code has changed, and found again else."""
    monkeypatch.setenv("PENSTOCK_INFERENCE_CACHE_DIR", str(model_cache_dir))

    code, out, err = penstock_engine("build", "--target", "sm89", "--slots", "8", "--json")
    assert (code, err) == (0, "")
    (built,) = json.loads(out)
    inspected = json.loads(penstock_engine("inspect", built["id"], "--json")[1])

    assert inspected == built
    assert (built["layers"], built["fused_attention"]) == (30, [30, 30])
    assert built["report"]["weights_bytes"] == pytest.approx(2 * 134_515_008, rel=0.01)
    assert built["kv_bytes"] == 30 * 2 * 8 * 3 * 2064 * 64 * 2
    assert len([tensor for tensor in built["report"]["tensors"] if "past_" in tensor["name"]]) == 60


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build", "--target", "sm90"), "builds for sm75, sm80, sm86, sm89, sm120, sm121, not for 'sm90'"),
        (("build", "/no/model.gguf", "--target", "sm80"), "there is no model at /no/model.gguf"),
        (("build", "--target", "sm80", "--kind", "int3"), "'int3' is none of bf16, fp16, int8, fp8, int4"),
        (("build", "--target", "sm80", "--kind", "fp8"), "sm80 does not compute in fp8"),
        (("inspect", "abc"), "no engines have ids that begin with 'abc'"),
    ],
)
def test_what_cannot_be_done_is_one_line(penstock_engine, arguments, complaint):
    code, out, err = penstock_engine(*arguments)

    assert (code, out) == (1, "")
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_without_tensorrt_the_command_says_what_installs_it(penstock_engine, tmp_path, monkeypatch):
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt", "cuda"):
        (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError(name=__name__)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    code, _, err = penstock_engine("list")

    assert code == 1
    assert err == "✗ TensorRT is not installed: pip install 'penstock-inference[tensorrt]'\n"
