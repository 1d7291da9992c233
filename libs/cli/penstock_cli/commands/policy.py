"""`penstock policy`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock_cli.commands.options import ORGANIZATION, Organization
from penstock_cli.console import err, out
from penstock_cli.edge import Json, find_connection, open_edge
from penstock_cli.failure import Failure
from penstock_cli.place import find_place

MODE = "POLICY_MODE_"

app = typer.Typer(
    no_args_is_help=True,
    help="Say what is done with what the guardrail finds. Needs a key of the role admin.",
)

PolicyId = Annotated[str, typer.Argument(help="Id of the policy.")]


@app.command("list")
def list_policies(organization: Organization = ORGANIZATION) -> None:
    """List the policies of an organization."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        listed = edge.get(f"/v1/organizations/{organization}/policies").get("policies", [])
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("policy", "for", "mode", "profiles", "revision", "changed"):
        table.add_column(column)
    for policy in listed:
        table.add_row(
            policy["name"].rpartition("/")[2],
            policy.get("display_name", ""),
            _mode(policy),
            ", ".join(policy.get("profiles", [])),
            str(policy.get("revision", "")),
            policy.get("update_time", "")[:19],
        )
    out.print(table)


@app.command()
def get(
    policy: PolicyId,
    revision: Annotated[int, typer.Option(help="Which revision; without it, the newest.", min=0)] = 0,
    organization: Organization = ORGANIZATION,
) -> None:
    """Print a policy as JSON."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = edge.get(_name(organization, policy), revision=revision)
    out.print_json(json.dumps(found))


@app.command()
def apply(
    policy: PolicyId,
    file: Annotated[Path, typer.Argument(help="What it says, as JSON; - is standard input.")],
    shadow: Annotated[bool, typer.Option(help="Let it only count what it would do.")] = False,
    enforce: Annotated[bool, typer.Option(help="Let it decide.")] = False,
    organization: Organization = ORGANIZATION,
) -> None:
    """Make a policy, or replace what it says; it binds on every replica within two seconds.

    Try it:

    ```sh
    echo '{"profiles": ["gdpr"]}' | penstock policy apply privacy - --shadow
    penstock policy diff privacy
    ```
    """
    says = _read(file)
    if shadow or enforce:
        says["mode"] = MODE + ("ENFORCED" if enforce else "SHADOW")
    with open_edge(find_connection(find_place(os.environ))) as edge:
        kept = edge.get(f"/v1/organizations/{organization}/policies").get("policies", [])
        name = f"organizations/{organization}/policies/{policy}"
        if any(each["name"] == name for each in kept):
            made = edge.patch(_name(organization, policy), says)
        else:
            made = edge.post(f"/v1/organizations/{organization}/policies?policy_id={policy}", says)
    err.print(Text(f"{made['name']} is at revision {made.get('revision', 0)}: {_mode(made)}", "dim"))


@app.command()
def diff(policy: PolicyId, organization: Organization = ORGANIZATION) -> None:
    """Show what would change if a policy decided instead of the one that does."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = edge.get(f"{_name(organization, policy)}:diff").get("differences", [])
    if not found:
        out.print("Nothing would change.")
    for each in found:
        out.print(Text.assemble((each["subject"], "bold")))
        for sign, side, colour in (("-", "before", "red"), ("+", "after", "green")):
            if each.get(side):
                out.print(Text(f"  {sign} {each[side]}", colour))


@app.command()
def delete(policy: PolicyId, organization: Organization = ORGANIZATION) -> None:
    """End a policy. If it decided, the service's own decides again."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        edge.delete(_name(organization, policy))
    out.print(f"[green]✓[/green] {policy} is ended.")


def _name(organization: str, policy: str) -> str:
    return f"/v1/organizations/{organization}/policies/{policy}"


def _mode(policy: Json) -> str:
    mode: str = policy.get("mode", "").removeprefix(MODE).lower()
    return mode if mode in {"enforced", "shadow"} else "draft"


def _read(file: Path) -> Json:
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    try:
        says: Any = json.loads(text)
    except ValueError as error:
        raise Failure(f"{file} is not JSON: {error}") from error
    if not isinstance(says, dict):
        raise Failure(f"{file} is not a JSON object")
    return says
