"""Options and arguments that commands share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from penstock_cli.edge import Edge, find_connection, open_edge
from penstock_cli.place import find_place

ORGANIZATION = "dev"

Organization = Annotated[str, typer.Option(help="Id of the organization.", envvar="PENSTOCK_ORGANIZATION")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the edge answered, for programs.")]


@contextmanager
def the_edge() -> Iterator[Edge]:
    """Open the edge of the environment, or of the stack started here."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        yield edge


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Make a table without lines; numbers stand right."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def read_time(text: str) -> str:
    """Read a day or a time, in UTC where it names no zone, to what the edge reads."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day such as 2026-01-31, nor 2026-01-31T12:00") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")


def last_part(name: str) -> str:
    """Give the id at the end of a resource's name."""
    return name.rpartition("/")[2]
