"""`penstock usage`."""

import os
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from penstock_cli.answer import dollars
from penstock_cli.console import out
from penstock_cli.edge import Edge, Json, find_connection, open_edge
from penstock_cli.place import find_place

ORGANIZATION = "dev"
OUTCOME = "ATTEMPT_OUTCOME_"
TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")


class Dimension(StrEnum):
    """What usage is summed by."""

    MODEL = "model"
    USER = "user"
    TEAM = "team"
    API_KEY = "api-key"
    ENDPOINT = "endpoint"
    OUTCOME = "outcome"
    HOUR = "hour"
    DAY = "day"


Organization = Annotated[str, typer.Option(help="Id of the organization.", envvar="PENSTOCK_ORGANIZATION")]


def usage(
    by: Annotated[
        list[Dimension] | None, typer.Option(help="What to sum by; may be given up to 3 times.")
    ] = None,
    organization: Organization = ORGANIZATION,
) -> None:
    """Show what was used this month and what it cost.

    Try it:

    ```sh
    penstock usage --by model --by day
    ```
    """
    dimensions = by or [Dimension.MODEL]
    with open_edge(find_connection(find_place(os.environ))) as edge:
        rows = query_usage(edge, organization, dimensions)
    out.print(usage_table(rows, dimensions) if rows else "Nothing was used this month.")


def query_usage(edge: Edge, organization: str, dimensions: list[Dimension]) -> list[Json]:
    """Give this month's usage, dearest first."""
    names = [f"USAGE_DIMENSION_{dimension.name}" for dimension in dimensions]
    rows: list[Json] = edge.get(f"/v1/organizations/{organization}/usage", group_by=names).get("rows", [])
    return rows


def usage_table(rows: list[Json], dimensions: list[Dimension]) -> Table:
    """Draw usage."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for dimension in dimensions:
        table.add_column(dimension.value)
    for column in ("requests", "tokens in", "tokens out", "cost", "saved by cache"):
        table.add_column(column, justify="right")
    for row in rows:
        tokens = {name: int(row.get("tokens", {}).get(name, 0)) for name in TOKEN_CLASSES}
        table.add_row(
            *[group.removeprefix(OUTCOME).lower() or "-" for group in row.get("group", [])],
            f"{int(row.get('operations', 0)):,}",
            f"{tokens['input'] + tokens['cache_read'] + tokens['cache_write']:,}",
            f"{tokens['output'] + tokens['reasoning']:,}",
            dollars(int(row.get("cost_nanos", 0))),
            dollars(int(row.get("avoided_cost_nanos", 0))),
        )
    return table
