"""`penstock budget`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from penstock_cli.amount import dollars, read_dollars
from penstock_cli.chart import bar
from penstock_cli.commands.options import (
    ORGANIZATION,
    AsJson,
    Organization,
    last_part,
    plain_table,
    the_edge,
)
from penstock_cli.console import err, out
from penstock_cli.edge import Json

BAR_WIDTH = 20
WARNING_PERCENT, FULL_PERCENT = 80, 100

app = typer.Typer(
    no_args_is_help=True,
    help="""Bound what may be spent, and be told before it is. Changes need a key of the role admin.

    Try it:

    ```sh
    penstock budget create research 25 --period month --team research
    penstock budget alert https://example.com/hook --at 50 --at 90
    penstock usage forecast --budget research
    ```
    """,
)


class Period(StrEnum):
    """How often spend starts anew, or how long it counts."""

    FOR_EVER = "for-ever"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ROLLING_DAY = "rolling-day"
    ROLLING_WEEK = "rolling-week"
    ROLLING_MONTH = "rolling-month"


Dollars = Annotated[str, typer.Argument(help="The most that may be spent, in dollars: 25 or 25.50.")]
BudgetId = Annotated[str, typer.Argument(help="Id of the budget: lower-case letters, digits and dashes.")]


@app.command()
def create(
    budget: BudgetId,
    amount: Dollars,
    period: Annotated[Period, typer.Option(help="How often spend starts anew.")] = Period.MONTH,
    team: Annotated[str, typer.Option(help="Bound this team's spend, not everybody's.")] = "",
    user: Annotated[str, typer.Option(help="Bound this user's spend.")] = "",
    api_key: Annotated[str, typer.Option(help="Bound this API key's spend.")] = "",
    soft: Annotated[bool, typer.Option(help="Only count and tell; refuse nothing.")] = False,
    name: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Make a budget. It binds at once, and what was spent in this period counts."""
    subject = {kind: who for kind, who in (("team", team), ("user", user), ("api_key", api_key)) if who}
    if len(subject) > 1:
        raise typer.BadParameter("a budget bounds one of --team, --user and --api-key; make two budgets")
    body = {
        "amount_nanos": str(read_dollars(amount)),
        "period": _period(period),
        "enforcement": _enforcement(soft=soft),
        "display_name": name,
        **subject,
    }
    with the_edge() as edge:
        made = edge.post(f"/v1/organizations/{organization}/budgets?budget_id={budget}", body)
    out.print(_table([made]))


@app.command("list")
def list_budgets(organization: Organization = ORGANIZATION, as_json: AsJson = False) -> None:
    """List budgets, and how much of each is spent."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/budgets", page_size=1000).get("budgets", [])
    if as_json:
        out.print_json(data=found)
        return
    out.print(_table(found) if found else "There is no budget: `penstock budget create` makes one.")


@app.command()
def show(budget: BudgetId, organization: Organization = ORGANIZATION, as_json: AsJson = False) -> None:
    """Show one budget."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/budgets/{budget}")
    if as_json:
        out.print_json(data=found)
        return
    out.print(_table([found]))


@app.command()
def update(budget: BudgetId, amount: Dollars, organization: Organization = ORGANIZATION) -> None:
    """Change the amount of a budget; it binds at once, also below what is spent already."""
    body = {"amount_nanos": str(read_dollars(amount))}
    with the_edge() as edge:
        path = f"/v1/organizations/{organization}/budgets/{budget}?update_mask=amount_nanos"
        out.print(_table([edge.patch(path, body)]))


@app.command()
def delete(budget: BudgetId, organization: Organization = ORGANIZATION) -> None:
    """End a budget. What was spent stays in the ledger."""
    with the_edge() as edge:
        edge.delete(f"/v1/organizations/{organization}/budgets/{budget}")
    out.print(f"[green]✓[/green] {budget} bounds nothing any more.")


@app.command()
def alert(
    url: Annotated[str, typer.Argument(help="Where to send: an https URL.")],
    at: Annotated[list[int] | None, typer.Option(help="At how many percent; several times.")] = None,
    webhook: Annotated[str, typer.Option(help="Id of the webhook.")] = "default",
    organization: Organization = ORGANIZATION,
) -> None:
    """Be told by a signed webhook when so much of any budget is spent; prints its secret, this once."""
    body: dict[str, Any] = {"url": url, "alert_percents": at or []}
    with the_edge() as edge:
        made = edge.post(f"/v1/organizations/{organization}/webhooks?webhook_id={webhook}", body)
    out.out(made["secret"], highlight=False)
    percents = ", ".join(f"{percent} %" for percent in made["webhook"]["alert_percents"])
    err.print(f"[dim]{made['webhook']['name']}: {percents}. The secret is not shown again.[/dim]")


@app.command()
def alerts(organization: Organization = ORGANIZATION) -> None:
    """List where is told, and how that fares."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/webhooks").get("webhooks", [])
    table = plain_table(
        "webhook", "url", "at", "waiting", "given up", "last error", right=("waiting", "given up")
    )
    for each in found:
        table.add_row(
            last_part(each["name"]),
            each["url"],
            ", ".join(f"{percent} %" for percent in each["alert_percents"]),
            str(each.get("pending_events", 0)),
            str(each.get("failed_events", 0)),
            each.get("last_error") or "-",
        )
    out.print(table if found else "Nobody is told: `penstock budget alert URL` changes that.")


@app.command()
def unalert(
    webhook: Annotated[str, typer.Argument(help="Id of the webhook.")],
    organization: Organization = ORGANIZATION,
) -> None:
    """Be told no more; what waits to be sent is dropped."""
    with the_edge() as edge:
        edge.delete(f"/v1/organizations/{organization}/webhooks/{webhook}")
    out.print(f"[green]✓[/green] {webhook} is told nothing any more.")


def _period(period: Period) -> str:
    return f"BUDGET_PERIOD_{'UNSPECIFIED' if period is Period.FOR_EVER else period.name}"


def _enforcement(*, soft: bool) -> str:
    return f"BUDGET_ENFORCEMENT_{'SOFT' if soft else 'UNSPECIFIED'}"


def _period_said(period: str) -> str:
    said = period.removeprefix("BUDGET_PERIOD_").lower().replace("_", " ")
    return "for ever" if said == "unspecified" else said


def _table(budgets: list[Json]) -> Any:
    table = plain_table(
        "budget", "bounds", "period", "of", "spent", "held", "", right=("of", "spent", "held")
    )
    for each in budgets:
        amount, spent = int(each.get("amount_nanos", 0)), int(each.get("spent_nanos", 0))
        percent = spent * 100 // amount if amount else 0
        colour = "red" if percent >= FULL_PERCENT else "yellow" if percent >= WARNING_PERCENT else "green"
        drawn = bar(min(spent, amount), amount, BAR_WIDTH)
        table.add_row(
            last_part(each["name"]),
            next(
                (f"{kind} {each[kind]}" for kind in ("team", "user", "api_key") if each.get(kind)),
                "everybody",
            ),
            _period_said(each.get("period", ""))
            + (" (soft)" if each.get("enforcement") == "BUDGET_ENFORCEMENT_SOFT" else ""),
            dollars(amount),
            dollars(spent),
            dollars(int(each.get("held_nanos", 0))),
            f"[{colour}]{drawn} {percent} %[/]",
        )
    return table
