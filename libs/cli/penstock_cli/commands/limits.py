"""`penstock limits`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from penstock_cli.chart import bar
from penstock_cli.commands.options import (
    ORGANIZATION,
    AsJson,
    Organization,
    last_part,
    plain_table,
    the_edge,
)
from penstock_cli.console import out
from penstock_cli.edge import Json

BAR_WIDTH = 20
SCARCE_PERCENT = 20

app = typer.Typer(
    no_args_is_help=True,
    help="""Bound how fast callers ask, and see what is left. Changes need a key of the role admin.

    Try it:

    ```sh
    penstock limits create per-user 1000 --unit requests --window hour --scope user
    penstock limits create gold-tokens 200000 --unit tokens --window minute --tier gold
    penstock limits list
    ```
    """,
)


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    IN_FLIGHT = "in-flight"


class Window(StrEnum):
    """The time in which a rate's units flow in."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Scope(StrEnum):
    """Who shares one count."""

    ORGANIZATION = "organization"
    TEAM = "team"
    USER = "user"
    API_KEY = "api-key"


LimitId = Annotated[str, typer.Argument(help="Id of the limit: lower-case letters, digits and dashes.")]
Value = Annotated[int, typer.Argument(min=0, help="How many units; 0 refuses everything.")]


@app.command()
def create(
    limit: LimitId,
    value: Value,
    unit: Annotated[Unit, typer.Option(help="What is counted.")] = Unit.REQUESTS,
    window: Annotated[
        Window, typer.Option(help="In which time they flow in; not read for in-flight.")
    ] = Window.MINUTE,
    scope: Annotated[Scope, typer.Option(help="Who shares one count.")] = Scope.ORGANIZATION,
    subject: Annotated[str, typer.Option(help="Bind only this team, user or API key.")] = "",
    model: Annotated[str, typer.Option(help="Bind only this model.")] = "",
    tier: Annotated[str, typer.Option(help="Bind only callers of this tier.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Make a limit. It binds what is admitted from then on."""
    body = {
        "value": str(value),
        "unit": f"LIMIT_UNIT_{unit.name}",
        "window": f"LIMIT_WINDOW_{'UNSPECIFIED' if unit is Unit.IN_FLIGHT else window.name}",
        "scope": f"LIMIT_SCOPE_{'UNSPECIFIED' if scope is Scope.ORGANIZATION else scope.name}",
        "subject": subject,
        "model": model,
        "tier": tier,
    }
    with the_edge() as edge:
        made = edge.post(f"/v1/organizations/{organization}/limits?limit_id={limit}", body)
    out.print(_table([made]))


@app.command("list")
def list_limits(organization: Organization = ORGANIZATION, as_json: AsJson = False) -> None:
    """List limits, and what is left of each: for the caller who has least."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/limits", page_size=1000).get("limits", [])
    if as_json:
        out.print_json(data=found)
        return
    out.print(_table(found) if found else "There is no limit: `penstock limits create` makes one.")


@app.command()
def update(limit: LimitId, value: Value, organization: Organization = ORGANIZATION) -> None:
    """Change how many units a limit has; what was counted stays counted."""
    with the_edge() as edge:
        path = f"/v1/organizations/{organization}/limits/{limit}?update_mask=value"
        out.print(_table([edge.patch(path, {"value": str(value)})]))


@app.command()
def delete(limit: LimitId, organization: Organization = ORGANIZATION) -> None:
    """End a limit."""
    with the_edge() as edge:
        edge.delete(f"/v1/organizations/{organization}/limits/{limit}")
    out.print(f"[green]✓[/green] {limit} bounds nothing any more.")


def _table(limits: list[Json]) -> Any:
    table = plain_table("limit", "binds", "of", "left", "", "least for", right=("of", "left"))
    for each in limits:
        value, left = int(each.get("value", 0)), int(each.get("remaining", 0))
        percent = left * 100 // value if value else 0
        colour = "red" if not left else "yellow" if percent <= SCARCE_PERCENT else "green"
        table.add_row(
            last_part(each["name"]),
            _binds(each),
            _rate(each),
            f"{left:,}",
            f"[{colour}]{bar(left, value, BAR_WIDTH)} {percent} %[/]",
            each.get("tightest") or "-",
        )
    return table


def _binds(limit: Json) -> str:
    scope = limit.get("scope", "").removeprefix("LIMIT_SCOPE_").lower().replace("_", " ")
    who = "everybody together" if scope in ("", "unspecified") else limit.get("subject") or f"each {scope}"
    narrower = [f"{name} {limit[name]}" for name in ("model", "tier") if limit.get(name)]
    return ", ".join([who, *narrower])


def _rate(limit: Json) -> str:
    unit = limit.get("unit", "").removeprefix("LIMIT_UNIT_").lower().replace("_", " ")
    window = limit.get("window", "").removeprefix("LIMIT_WINDOW_").lower()
    number = f"{int(limit.get('value', 0)):,} {unit}"
    return number if window in ("", "unspecified") else f"{number} per {window}"
