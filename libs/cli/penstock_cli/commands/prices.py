"""`penstock prices`."""

from pathlib import Path
from typing import Annotated

import typer

from penstock_cli.amount import dollars
from penstock_cli.commands.options import (
    ORGANIZATION,
    AsJson,
    Organization,
    plain_table,
    read_time,
    the_edge,
)
from penstock_cli.console import out
from penstock_cli.edge import Json

CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")

app = typer.Typer(
    no_args_is_help=True,
    help="""Read and import price books: what a million tokens cost. Importing needs an admin of who operates this.

    Try it:

    ```sh
    penstock prices list
    penstock prices show > prices.jsonl           # the book in force, a row a line
    penstock prices import prices.yaml --dry-run
    ```
    """,
)


@app.command("list")
def list_prices(
    at: Annotated[str, typer.Option(help="Which held at a day or a time, UTC. Default: now.")] = "",
    as_json: AsJson = False,
) -> None:
    """List prices by SKU, in dollars for a million tokens."""
    query = {"as_of_time": read_time(at)} if at else {}
    with the_edge() as edge:
        prices = edge.get("/v1/prices", page_size=1000, **query).get("prices", [])
    if as_json:
        out.print_json(data=prices)
        return
    names = tuple(name.replace("_", " ") for name in CLASSES)
    table = plain_table("sku", *names, right=names)
    for each in prices:
        table.add_row(each["sku"], *(dollars(int(each[f"{name}_nanos_per_million"])) for name in CLASSES))
    out.print(table if prices else "There are no prices.")
    if prices:
        out.print(f"[dim]Dollars for 1,000,000 tokens, from book {prices[0]['book_version']}[/dim]")


@app.command()
def books(as_json: AsJson = False) -> None:
    """List the books that were ever imported, newest first."""
    with the_edge() as edge:
        found = edge.get("/v1/priceBooks", page_size=1000).get("price_books", [])
    if as_json:
        out.print_json(data=found)
        return
    table = plain_table("version", "rows", "imported", "in force since", "", right=("rows",))
    for each in found:
        table.add_row(*_row(each))
    out.print(table)


@app.command()
def show(version: Annotated[str, typer.Argument(help="Which book.")] = "current") -> None:
    """Print a book: its rows as JSON, a line each."""
    with the_edge() as edge:
        out.out(edge.get(f"/v1/priceBooks/{version}").get("content", ""), highlight=False)


@app.command("import")
def import_book(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The YAML file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it, and change nothing.")] = False,
    organization: Organization = ORGANIZATION,
) -> None:
    """Put a price book in force, everywhere within two seconds. What was admitted before keeps its prices.

    A book with a fault, or with prices that overlap in time, is refused with the line of it; the old one stays.
    """
    body = {"content": file.read_text(), "validate_only": dry_run}
    with the_edge() as edge:
        book = edge.post(f"/v1/organizations/{organization}/priceBooks:import", body)
    done = "is in force" if book.get("in_force") else "is good; nothing was changed"
    out.print(f"[green]✓[/green] Book {book['version']} with {book['rows']} rows {done}.")


def _row(book: Json) -> tuple[str, str, str, str, str]:
    return (
        book["version"],
        str(book.get("rows", 0)),
        book["create_time"][:19],
        (book.get("activate_time") or "never")[:19],
        "[green]in force[/green]" if book.get("in_force") else "",
    )
