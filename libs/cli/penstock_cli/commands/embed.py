"""`penstock embed`."""

import json
import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from penstock_cli.answer import dollars
from penstock_cli.commands.models import first_model
from penstock_cli.console import err, out
from penstock_cli.edge import find_connection, open_edge
from penstock_cli.place import find_place

NUMBERS_SHOWN = 4
TEXT_CHARACTERS_SHOWN = 40


def embed(
    texts: Annotated[list[str], typer.Argument(help="The texts.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="The model; without it, the first that can embed.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the vectors as JSON, for programs.")] = False,
) -> None:
    """Turn texts into vectors, and show how alike they are.

    Try it:

    ```sh
    penstock embed "a cat sat on the mat" "a kitten rested on a rug" "quarterly revenue"
    ```
    """
    with open_edge(find_connection(find_place(os.environ))) as edge:
        body = {"model": model or first_model(edge, "EMBEDDINGS"), "input": texts}
        answer = edge.post("/v1/embeddings", body)
    vectors = [each["embedding"] for each in answer["data"]]
    out.print_json(json.dumps(vectors)) if as_json else out.print(_table(texts, vectors))
    tokens = answer.get("usage", {}).get("prompt_tokens", 0)
    cost = dollars(int(answer.get("penstock", {}).get("cost_nanos", 0)))
    err.print(Text(f"{tokens} tokens · {len(vectors[0])} dimensions · cost {cost}", "dim"))


def _table(texts: list[str], vectors: list[list[float]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("#", "text", "vector", *(f"~ {number}" for number in range(1, len(texts) + 1))):
        table.add_column(column, no_wrap=True)
    for number, (text, vector) in enumerate(zip(texts, vectors, strict=True), 1):
        start = ", ".join(f"{value:+.3f}" for value in vector[:NUMBERS_SHOWN])
        alike = [f"{_cosine(vector, other):.3f}" for other in vectors]
        table.add_row(str(number), text[:TEXT_CHARACTERS_SHOWN], f"[{start}, …]", *alike)
    return table


def _cosine(one: list[float], other: list[float]) -> float:
    """Give the cosine of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))
