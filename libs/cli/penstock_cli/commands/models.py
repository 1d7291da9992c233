"""`penstock models`."""

import json
import os
from typing import Annotated

import typer
from rich.table import Table

from penstock_cli.console import out
from penstock_cli.edge import Edge, Json, find_connection, open_edge
from penstock_cli.failure import Failure
from penstock_cli.place import find_place

CAPABILITY = "MODEL_CAPABILITY_"
OWN_ENDPOINT = "inference"


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the models that requests may name, with what they can do, who serves them and on which engine of ours."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        listed = list_models(edge)
    out.print_json(json.dumps(listed)) if as_json else out.print(_table(listed))


def list_models(edge: Edge) -> list[Json]:
    """Give the models of the caller's organization."""
    found: list[Json] = edge.get("/v1/models").get("data", [])
    return found


def first_model(edge: Edge, capability: str) -> str:
    """Give a model that can do something ("CHAT" or "EMBEDDINGS"), of our own engines if there is one."""
    able = [model for model in list_models(edge) if CAPABILITY + capability in model.get("capabilities", [])]
    if not able:
        hint = "`penstock models` lists what is served."
        raise Failure(f"no model is served for {capability.lower()}", hint=hint)
    own = [model for model in able if OWN_ENDPOINT in model.get("endpoints", [])]
    return str((own or able)[0]["id"])


def _table(listed: list[Json]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("model", "by", "context", "can", "served by", "engine"):
        table.add_column(column, justify="right" if column == "context" else "left")
    for model in listed:
        can = [each.removeprefix(CAPABILITY).lower() for each in model.get("capabilities", [])]
        table.add_row(
            model["id"],
            model.get("owned_by", ""),
            str(model.get("context_tokens") or ""),
            ", ".join(can),
            ", ".join(model.get("endpoints", [])),
            f"{model.get('engine', '')} {model.get('weights_kind', '')}".strip(),
        )
    return table
