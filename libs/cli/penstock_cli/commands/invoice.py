"""`penstock invoice`."""

import base64
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock_cli.amount import dollars, read_dollars
from penstock_cli.commands.options import (
    ORGANIZATION,
    AsJson,
    Organization,
    last_part,
    plain_table,
    read_time,
    the_edge,
)
from penstock_cli.console import out
from penstock_cli.edge import Json

TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")

app = typer.Typer(
    no_args_is_help=True,
    help="""Make and read invoices. Making needs a key of the role admin.

    Try it:

    ```sh
    penstock invoice create                       # the months that have ended
    penstock invoice list
    penstock invoice download 2026-01-01-to-2026-02-01 --format pdf
    ```
    """,
)


class Format(StrEnum):
    """A form of file."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


InvoiceId = Annotated[str, typer.Argument(help="Id of the invoice, or its whole name.")]


@app.command()
def create(
    since: Annotated[str, typer.Option(help="From which day. Default: where the last one ended.")] = "",
    until: Annotated[str, typer.Option(help="Until which day, exclusive. Default: this month's first.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Charge everything posted until a midnight that is on no invoice yet. It can never be changed."""
    times = {"start_time": since, "end_time": until}
    body = {name: read_time(text) for name, text in times.items() if text}
    with the_edge() as edge:
        _show(edge.post(f"/v1/organizations/{organization}/invoices", body))


@app.command("list")
def list_invoices(
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
    organization: Organization = ORGANIZATION,
    as_json: AsJson = False,
) -> None:
    """List invoices and credit notes, newest first."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/invoices", page_size=size).get("invoices", [])
    if as_json:
        out.print_json(data=found)
        return
    table = plain_table("invoice", "kind", "from", "until", "total", "to pay", right=("total", "to pay"))
    for each in found:
        table.add_row(
            last_part(each["name"]),
            _kind(each),
            each["start_time"][:10],
            each["end_time"][:10],
            dollars(int(each["total_nanos"])),
            dollars(int(each["payable_cents"]) * 10_000_000),
        )
    out.print(table if found else "There is no invoice: `penstock invoice create` makes one.")


@app.command()
def show(invoice: InvoiceId, organization: Organization = ORGANIZATION, as_json: AsJson = False) -> None:
    """Show an invoice with its lines."""
    with the_edge() as edge:
        found = edge.get(f"/v1/{_name(invoice, organization)}")
    if as_json:
        out.print_json(data=found)
        return
    _show(found)


@app.command()
def download(
    invoice: InvoiceId,
    form: Annotated[Format, typer.Option("--format", help="In which form.")] = Format.PDF,
    output: Annotated[Path | None, typer.Option(help="Where to write. Default: here, by its name.")] = None,
    organization: Organization = ORGANIZATION,
) -> None:
    """Write an invoice to a file."""
    with the_edge() as edge:
        path = f"/v1/{_name(invoice, organization)}:download"
        file = edge.get(path, format=f"INVOICE_FORMAT_{form.name}")
    target = output or Path(Path(file["filename"]).name)
    target.write_bytes(base64.b64decode(file["content"]))
    out.print(f"[green]✓[/green] {target}")


@app.command()
def credit(
    invoice: InvoiceId,
    reason: Annotated[str, typer.Option(help="Why, for people.")],
    amount: Annotated[str, typer.Option(help="How many dollars. Default: all that is left of it.")] = "",
    request_id: Annotated[str, typer.Option(help="The same one again makes no second note.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Take back what an invoice charged: a credit note, and a reversal in the ledger."""
    body = {
        "amount_nanos": str(read_dollars(amount) if amount else 0),
        "reason": reason,
        "request_id": request_id or str(uuid.uuid4()),
    }
    with the_edge() as edge:
        _show(edge.post(f"/v1/{_name(invoice, organization)}:credit", body))


def _name(invoice: str, organization: str) -> str:
    return invoice if "/" in invoice else f"organizations/{organization}/invoices/{invoice}"


def _kind(invoice: Json) -> str:
    return str(invoice["kind"].removeprefix("INVOICE_KIND_").lower().replace("_", " "))


def _show(invoice: Json) -> None:
    out.print(f"[bold]{_kind(invoice).capitalize()}[/bold] {invoice['name']}")
    out.print(f"{invoice['start_time'][:10]} until {invoice['end_time'][:10]}")
    if invoice.get("corrects"):
        out.print(f"Corrects {last_part(invoice['corrects'])}: {invoice['reason']}", markup=False)
    table = plain_table("what", "requests", "tokens", "cost", right=("requests", "tokens", "cost"))
    for line in invoice.get("lines", []):
        tokens = sum(int(line[f"{name}_tokens"]) for name in TOKEN_CLASSES)
        counts = (f"{int(line['operations']):,}", f"{tokens:,}") if int(line["operations"]) else ("", "")
        table.add_row(line["sku"], *counts, dollars(int(line["cost_nanos"])))
    table.add_section()
    table.add_row("all", "", "", dollars(int(invoice["total_nanos"])), style="bold")
    table.add_row("to pay", "", "", dollars(int(invoice["payable_cents"]) * 10_000_000), style="bold")
    out.print(table)
    out.print(f"[dim]SHA-256 {invoice['content_hash']}[/dim]")
