"""`penstock erase`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from penstock_cli.audit.log import verify_receipt
from penstock_cli.audit.note import Verifier
from penstock_cli.audit.proof import ProofError
from penstock_cli.commands.options import ORGANIZATION, Organization, the_edge
from penstock_cli.console import err, out
from penstock_cli.failure import Failure

app = typer.Typer(
    no_args_is_help=True,
    help="""Forget a person in every service, and prove it. Needs a key of the role admin.

    ```sh
    penstock erase person ada > ada.json
    penstock erase verify ada.json
    ```
    """,
)


@app.command()
def person(
    user: Annotated[str, typer.Argument(help="Id of the user, as in requests.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Erase a person in guardrail and cache, and print the receipts, a JSON object. It cannot be undone."""
    with the_edge() as edge:
        erasure = edge.post(f"/v1/organizations/{organization}/persons:erase", {"user": user})
    out.out(json.dumps({"user": user, "erasure": erasure}), highlight=False)
    guardrail = erasure.get("guardrail", {})
    for service, done in (
        ("guardrail", f"key destroyed, {guardrail.get('sessions', 0)} sessions deleted"),
        ("guardrail", f"{guardrail.get('entries', 0)} entries of the audit log made unreadable"),
        ("cache", f"{erasure.get('cache_entries', 0)} entries forgotten"),
    ):
        err.print(Text(f"✓ {service}: {done}"))
    for kept in erasure.get("kept", []):
        err.print(Text(f"· {kept['service']} keeps {kept['records']}: {kept['reason']}", "dim"))


@app.command()
def verify(
    receipts: Annotated[
        Path, typer.Argument(help="A file with what `penstock erase person` printed.", exists=True)
    ],
    key: Annotated[
        str, typer.Option(help="Verifier key of the audit log; without it, the one that the edge tells.")
    ] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Check that the erasure is in the signed audit log, and that the receipt of the cache is about the person."""
    try:
        kept = json.loads(receipts.read_text())
        user, erasure = kept["user"], kept["erasure"]
        logged, forgotten = erasure["guardrail"], erasure["cache"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{receipts} is not what `penstock erase person` prints") from error
    with the_edge() as edge:
        key = key or edge.get(f"/v1/organizations/{organization}/auditLog")["verifier_key"]
        asked = {"selector": {"user": user}, "receipt": forgotten}
        holds = edge.post(f"/v1/organizations/{organization}/answerCache:verify", asked)
    try:
        checkpoint = verify_receipt(logged, Verifier.parse(key))
    except ProofError as error:
        raise Failure(f"the erasure is not in the log: {error}") from error
    out.print(
        f"[green]✓[/green] in the audit log of {checkpoint.size} entries that {checkpoint.origin} signed"
    )
    if not all(holds.get(fact) for fact in ("signature_holds", "chain_holds", "selector_holds")):
        raise Failure("the receipt of the cache does not hold")
    out.print(
        "[green]✓[/green] forgotten by the cache, whose receipt is signed, in its place and about the person"
    )
