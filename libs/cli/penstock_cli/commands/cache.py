"""`penstock cache`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock_cli.amount import dollars
from penstock_cli.commands.options import ORGANIZATION, AsJson, Organization, plain_table, the_edge
from penstock_cli.console import err, out
from penstock_cli.edge import Json
from penstock_cli.failure import Failure

PERCENT = 100

app = typer.Typer(
    no_args_is_help=True,
    help="""See what cached answers save, forget them, and prove it. All but `feedback` needs a key of the role admin.

    Try it:

    ```sh
    penstock cache stats
    penstock cache invalidate --user ada --receipt ada.json
    penstock cache verify ada.json
    ```
    """,
)

EntryId = Annotated[str, typer.Argument(help="`cache_entry_id` of an answer's receipt.")]


@app.command()
def stats(organization: Organization = ORGANIZATION, as_json: AsJson = False) -> None:
    """Show what is held and what it saved, on the replica that answers, since its start."""
    with the_edge() as edge:
        found = edge.get(_cache(organization))
    if as_json:
        out.print_json(data=found)
        return
    table = plain_table("", "", right=("",))
    for what, figure in _figures(found):
        table.add_row(what, figure)
    out.print(table)


@app.command()
def invalidate(
    entry: Annotated[str, typer.Option(help="One answer, by `cache_entry_id` of its receipt.")] = "",
    tag: Annotated[str, typer.Option(help="All with a label.")] = "",
    model: Annotated[str, typer.Option(help="All of a model.")] = "",
    user: Annotated[str, typer.Option(help="All that a user asked or shares.")] = "",
    prompt_version: Annotated[str, typer.Option(help="All of a prompt version.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="All of the organization.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="Keep the proof in this file.")] = None,
    organization: Organization = ORGANIZATION,
) -> None:
    """Forget answers in every tier and replica, for good."""
    named: list[tuple[str, str | bool]] = [
        ("entry_id", entry),
        ("tag", tag),
        ("model", model),
        ("user", user),
        ("prompt_version", prompt_version),
        ("everything", everything),
    ]
    selector = {kind: value for kind, value in named if value}
    if len(selector) != 1:
        raise typer.BadParameter(
            "name what to forget by one of --entry, --tag, --model, --user, --prompt-version and --everything"
        )
    with the_edge() as edge:
        done = edge.post(f"{_cache(organization)}:invalidate", {"selector": selector})
    if receipt is not None:
        receipt.write_text(json.dumps({"selector": selector, "receipt": done["receipt"]}, indent=2) + "\n")
    out.print(f"[green]✓[/green] {done.get('entries', 0)} entries are forgotten.")


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(help="A file that `penstock cache invalidate --receipt` wrote.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Check the proof that answers were forgotten."""
    try:
        body = json.loads(receipt.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {receipt}: {error}") from error
    with the_edge() as edge:
        holds = edge.post(f"{_cache(organization)}:verify", body)
    facts = (
        ("signature_holds", "signed by this installation, and not changed since"),
        ("chain_holds", "in the replica's log, at its place"),
        ("selector_holds", "about what it names"),
    )
    for name, fact in facts:
        out.print(f"[green]✓[/green] {fact}" if holds.get(name) else f"[red]✗[/red] not {fact}")
    if not all(holds.get(name) for name, _ in facts):
        raise Failure("the receipt does not hold")


@app.command()
def feedback(
    entry: EntryId,
    wrong: Annotated[bool, typer.Option("--wrong/--right", help="Whether it answered another question.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Say whether an answer by meaning fitted; one that did not is demoted."""
    verdict = "VERDICT_WRONG" if wrong else "VERDICT_RIGHT"
    with the_edge() as edge:
        edge.post(f"/v1/organizations/{organization}/cachedAnswers/{entry}:report", {"verdict": verdict})
    err.print("[dim]Thank you: it is learnt.[/dim]")


def _cache(organization: str) -> str:
    return f"/v1/organizations/{organization}/answerCache"


def _figures(found: Json) -> list[tuple[str, str]]:
    def number(name: str) -> int:
        value: Any = found.get(name, 0)
        return int(value)

    lookups, exact, semantic = number("lookups"), number("exact_hits"), number("semantic_hits")
    rate = f"{PERCENT * (exact + semantic) / lookups:.1f} %" if lookups else "-"
    return [
        ("answers", f"{number('answers'):,}"),
        ("bytes", f"{number('size_bytes'):,}"),
        ("lookups", f"{lookups:,}"),
        ("found by an equal question", f"{exact:,}"),
        ("found by meaning", f"{semantic:,}"),
        ("hit rate", rate),
        ("saved", dollars(number("saved_cost_nanos"))),
        ("seconds nobody waited", f"{number('saved_generation_ms') / 1000:,.1f}"),
        ("checked by meaning, and wrong", f"{number('checked_answers'):,}, {number('wrong_answers'):,}"),
        (
            "next questions predicted, and not",
            f"{number('predicted_right'):,}, {number('predicted_wrong'):,}",
        ),
        ("made ahead", f"{number('ahead_answers'):,}"),
        ("of use, and wasted", f"{number('ahead_useful'):,}, {number('ahead_wasted'):,}"),
        ("wasted", dollars(number("wasted_cost_nanos"))),
    ]
