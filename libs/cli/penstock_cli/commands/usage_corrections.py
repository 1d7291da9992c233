"""`penstock usage correct` and `penstock usage corrections`."""

import json
import uuid
from pathlib import Path
from typing import Annotated

import typer

from penstock_cli.amount import dollars
from penstock_cli.commands.options import ORGANIZATION, AsJson, Organization, plain_table, the_edge
from penstock_cli.console import out
from penstock_cli.edge import Json


def correct(
    operation: Annotated[str, typer.Argument(help="Id of the operation: that of its request.")],
    reason: Annotated[str, typer.Option(help="Why, for people.")],
    used: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="What it truly used. Default: nothing is charged."),
    ] = None,
    request_id: Annotated[str, typer.Option(help="The same one again corrects nothing more.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Correct what an operation was charged: a reversal, and then what is right. Needs a key of the role admin.

    What is on an invoice already is corrected by `penstock invoice credit`. --used is a file with the tries in JSON:

    ```json
    [{"sku": "inference/smollm2-135m-instruct", "endpoint": "inference",
      "tokens": {"input": 120, "output": 40}, "outcome": "ATTEMPT_OUTCOME_SUCCEEDED"}]
    ```
    """
    body = {
        "operation_id": operation,
        "attempts": [] if used is None else _read_attempts(used),
        "reason": reason,
        "request_id": request_id or str(uuid.uuid4()),
    }
    with the_edge() as edge:
        made = edge.post(f"/v1/organizations/{organization}/usageCorrections", body)
    was, now = (dollars(int(made.get(name, 0))) for name in ("reversed_nanos", "cost_nanos"))
    out.print(f"[green]✓[/green] {operation} was charged {was}, and is {now} now.")


def corrections(
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
    organization: Organization = ORGANIZATION,
    as_json: AsJson = False,
) -> None:
    """List what was corrected, by whom and why, newest first."""
    with the_edge() as edge:
        answer = edge.get(f"/v1/organizations/{organization}/usageCorrections", page_size=size)
    found = answer.get("usage_corrections", [])
    if as_json:
        out.print_json(data=found)
        return
    table = plain_table("when", "operation", "was", "is", "by", "why", right=("was", "is"))
    for each in found:
        costs = (dollars(int(each.get(name, 0))) for name in ("reversed_nanos", "cost_nanos"))
        table.add_row(
            each["create_time"][:19], each["operation_id"], *costs, each.get("actor", ""), each["reason"]
        )
    out.print(table if found else "Nothing was corrected.")


def _read_attempts(path: Path) -> list[Json]:
    try:
        attempts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}", param_hint="--used") from error
    if not isinstance(attempts, list):
        raise typer.BadParameter(f"{path} is no list of tries", param_hint="--used")
    return attempts
