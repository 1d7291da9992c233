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
def diff(
    policy: PolicyId,
    replay: Annotated[
        int,
        typer.Option(
            help="How many of the newest entries of the audit log to decide again.", min=0, max=20_000
        ),
    ] = 1000,
    organization: Organization = ORGANIZATION,
) -> None:
    """Show what would change if a policy decided instead of the one that does: its rules, and decisions of the past."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        found = edge.get(f"{_name(organization, policy)}:diff", replay_entries=replay)
    differences = found.get("differences", [])
    if not differences:
        out.print("Nothing would change.")
    for each in differences:
        out.print(Text.assemble((each["subject"], "bold")))
        for sign, side, colour in (("-", "before", "red"), ("+", "after", "green")):
            if each.get(side):
                out.print(Text(f"  {sign} {each[side]}", colour))
    if differences and "replay" in found:
        _print_replay(found["replay"])


@app.command()
def delete(policy: PolicyId, organization: Organization = ORGANIZATION) -> None:
    """End a policy. If it decided, the service's own decides again."""
    with open_edge(find_connection(find_place(os.environ))) as edge:
        edge.delete(_name(organization, policy))
    out.print(f"[green]✓[/green] {policy} is ended.")


def _print_replay(replay: Json) -> None:
    """Print how many decisions would be others, and which entries of the log to look at."""
    decisions, unreadable = replay.get("decisions", 0), replay.get("unreadable_entries", 0)
    out.print(f"\nOf the last {decisions} decisions {replay.get('changed_decisions', 0)} would be others.")
    if replay.get("changes"):
        table = Table(box=None, header_style="dim", pad_edge=False)
        for column in ("of", "now", "then", "decisions", "entries"):
            table.add_column(column, justify="right" if column == "decisions" else "left")
        for change in replay["changes"]:
            examples = ", ".join(str(each.get("index", 0)) for each in change.get("examples", []))
            sides = (change.get(side) or "all" for side in ("before", "after"))
            table.add_row(change["subject"], *sides, str(change["decisions"]), examples)
        out.print(table)
    if unreadable:
        err.print(Text(f"{unreadable} entries cannot be read any more", "dim"))
    if blind := replay.get("blind_subjects"):
        err.print(Text(f"Not looked for until now, so let it shadow to know: {', '.join(blind)}", "dim"))


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
