"""`penstock keys`."""

import os
import uuid
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from penstock_cli.commands.options import ORGANIZATION, Organization
from penstock_cli.console import err, out
from penstock_cli.edge import Json, find_connection, open_edge
from penstock_cli.place import find_place

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys. Needs a key of the role admin.")


class Role(StrEnum):
    """What a key may do."""

    ADMIN = "admin"
    DATA_SCIENTIST = "data_scientist"
    BUSINESS_USER = "business_user"
    READONLY = "readonly"


@app.command()
def create(
    display_name: Annotated[str, typer.Argument(help="What the key is for, for people.")],
    role: Annotated[
        list[Role] | None, typer.Option(help="What it may do; may be given several times.")
    ] = None,
    user: Annotated[str, typer.Option(help="Id of the user that it acts for.")] = "",
    team: Annotated[str, typer.Option(help="Id of the team that its use is counted for.")] = "",
    tier: Annotated[str, typer.Option(help="Its service tier, which limits may be for.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Make a key and print its secret, this once.

    Try it:

    ```sh
    export PENSTOCK_API_KEY=$(penstock keys create "nightly batch" --role data_scientist)
    ```
    """
    key = {
        "display_name": display_name,
        "roles": [each.value for each in role or [Role.BUSINESS_USER]],
        "user": user,
        "team": team,
        "tier": tier,
    }
    body = {"api_key": key, "request_id": str(uuid.uuid4())}
    with open_edge(find_connection(find_place(os.environ))) as edge:
        made = edge.post(f"/v1/organizations/{organization}/apiKeys", body)
    out.out(made["secret"], highlight=False)
    err.print(Text(f"{made['api_key']['name']}; the secret is not shown again", "dim"))


@app.command("list")
def list_keys(organization: Organization = ORGANIZATION) -> None:
    """List the keys of an organization, newest first."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        listed = edge.get(f"/v1/organizations/{organization}/apiKeys").get("api_keys", [])
    out.print(_table(listed))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, or its whole name.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """End a key; every replica refuses it within two seconds."""
    name = key if "/" in key else f"organizations/{organization}/apiKeys/{key}"
    with open_edge(find_connection(find_place(os.environ))) as edge:
        edge.post(f"/v1/{name}:revoke", {})
    out.print(f"[green]✓[/green] {name} is revoked.")


def _table(listed: list[Json]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("key", "for", "secret", "roles", "user", "created", "state"):
        table.add_column(column)
    for key in listed:
        table.add_row(
            key["name"].rpartition("/")[2],
            key.get("display_name", ""),
            f"{key.get('secret_prefix', '')}…",
            ", ".join(key.get("roles", [])),
            key.get("user", "") or "-",
            key.get("create_time", "")[:19],
            "[red]revoked[/red]" if key.get("revoke_time") else "[green]works[/green]",
        )
    return table
