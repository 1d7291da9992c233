"""`penstock usage`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from penstock_cli.amount import dollars
from penstock_cli.chart import bars
from penstock_cli.commands.options import (
    ORGANIZATION,
    AsJson,
    Organization,
    plain_table,
    read_time,
    the_edge,
)
from penstock_cli.commands.usage_corrections import correct, corrections
from penstock_cli.console import err, out
from penstock_cli.edge import Edge, Json

OUTCOME = "ATTEMPT_OUTCOME_"
MIDNIGHT = "T00:00:00Z"
TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")
GROUPS_MAX = 3
NUMBERS = ("requests", "tokens in", "tokens out", "cost", "saved by cache")


class Dimension(StrEnum):
    """What usage is summed by."""

    MODEL = "model"
    USER = "user"
    TEAM = "team"
    API_KEY = "api-key"
    ENDPOINT = "endpoint"
    OUTCOME = "outcome"
    HOUR = "hour"
    DAY = "day"
    TAG = "tag"


Since = Annotated[str, typer.Option(help="From when: a day or a time, UTC. Default: this month's first.")]
Until = Annotated[str, typer.Option(help="Until when, exclusive. Default: now.")]

app = typer.Typer(invoke_without_command=True)
app.command()(correct)
app.command()(corrections)


@app.callback()
def usage(
    context: typer.Context,
    by: Annotated[
        list[Dimension] | None, typer.Option(help="What to sum by; may be given up to 3 times.")
    ] = None,
    tag: Annotated[str, typer.Option(help="For --by tag: which label of requests.")] = "project",
    since: Since = "",
    until: Until = "",
    organization: Organization = ORGANIZATION,
    as_json: AsJson = False,
) -> None:
    """Show what was used and what it cost: a table and, by day or hour, a chart.

    Try it:

    ```sh
    penstock usage --by model --by day
    penstock usage --by tag --tag project --since 2026-01-01
    penstock usage forecast
    penstock usage export --output charges.csv
    ```
    """
    if context.invoked_subcommand is not None:
        return
    dimensions = by or [Dimension.MODEL]
    if len(dimensions) > GROUPS_MAX:
        raise typer.BadParameter(f"at most {GROUPS_MAX}", param_hint="--by")
    span = _span(since, until) | ({"tag_key": tag} if Dimension.TAG in dimensions else {})
    with the_edge() as edge:
        rows = query_usage(edge, organization, dimensions, **span)
    if as_json:
        out.print_json(data=rows)
        return
    out.print(usage_table(rows, dimensions) if rows else "Nothing was used.")
    if rows and dimensions[-1] in (Dimension.DAY, Dimension.HOUR):
        out.print()
        out.print(_chart(rows, len(dimensions) - 1))


@app.command()
def forecast(
    budget: Annotated[str, typer.Option(help="Id of a budget; default: the whole month.")] = "",
    organization: Organization = ORGANIZATION,
    as_json: AsJson = False,
) -> None:
    """Forecast the spend of the month, or when a budget will be used up."""
    with the_edge() as edge:
        found = edge.get(f"/v1/organizations/{organization}/spendForecast", budget_id=budget)
    if as_json:
        out.print_json(data=found)
        return
    spent = int(found.get("spent_nanos", 0))
    if not found.get("history_hours"):
        out.print(f"{dollars(spent)} spent so far, and no whole hour yet to forecast from.")
        return
    rows = [("spent so far", spent)]
    rows += [
        (f"by the end, {said}", int(found.get(f"end_{name}_nanos", 0)))
        for name, said in (("p10", "if it goes well"), ("p50", "most likely"), ("p90", "if it goes badly"))
    ]
    out.print(bars([(label, nanos, dollars(nanos)) for label, nanos in rows]))
    out.print(
        f"Until {found['end_time']}. P10, P50 and P90, from {found.get('history_hours', 0)} hours of spend."
    )
    if budget:
        out.print(_exhaustion(found))


@app.command()
def anomalies(
    since: Annotated[str, typer.Option(help="From when; at most 31 days ago. Default: seven days ago.")] = "",
    organization: Organization = ORGANIZATION,
    as_json: AsJson = False,
) -> None:
    """List hours that spent unlike the same hour of other weeks."""
    with the_edge() as edge:
        answer = edge.get(f"/v1/organizations/{organization}/spendAnomalies", **_span(since, ""))
    found = answer.get("anomalies", [])
    if as_json:
        out.print_json(data=found)
        return
    table = plain_table("hour", "spent", "expected", "z-score", right=("spent", "expected", "z-score"))
    for each in found:
        score = int(each["z_score_milli"])
        table.add_row(
            each["start_time"],
            dollars(int(each["spent_nanos"])),
            dollars(int(each["expected_nanos"])),
            f"[{'red' if score > 0 else 'yellow'}]{score // 1000:+d}[/]",
        )
    out.print(table if found else "Every hour was as usual, or there are no four weeks to compare with.")


@app.command()
def export(
    output: Annotated[Path | None, typer.Option(help="Where to write; default: standard output.")] = None,
    since: Since = "",
    until: Until = "",
    organization: Organization = ORGANIZATION,
) -> None:
    """Export charges as CSV in the columns of FOCUS, for tools of finance.

    --since and --until are days: charges are told by the day of their posting.
    """
    with the_edge() as edge:
        pages = _pages(edge, f"/v1/organizations/{organization}/focus", **_span(since, until))
        if output is None:
            for page in pages:
                sys.stdout.write(page["csv"])
            return
        with output.open("w", newline="", encoding="utf-8") as file:
            for page in pages:
                file.write(page["csv"])
    err.print(f"[green]✓[/green] {output} is written, in the columns of FOCUS {page['focus_version']}.")


def query_usage(edge: Edge, organization: str, dimensions: list[Dimension], **query: Any) -> list[Json]:
    """Give usage, dearest first; by default this month's."""
    names = [f"USAGE_DIMENSION_{dimension.name}" for dimension in dimensions]
    pages = _pages(edge, f"/v1/organizations/{organization}/usage", group_by=names, page_size=1000, **query)
    return [row for page in pages for row in page.get("rows", [])]


def usage_table(rows: list[Json], dimensions: list[Dimension]) -> Table:
    """Draw usage, and its sum below more rows than one."""
    table = plain_table(*(dimension.value for dimension in dimensions), *NUMBERS, right=NUMBERS)
    for row in rows:
        groups = (_shown(group) for group in row.get("group", []))
        table.add_row(*groups, *_texts(_numbers(row)))
    if len(rows) > 1:
        sums = [sum(column) for column in zip(*map(_numbers, rows), strict=True)]
        table.add_section()
        table.add_row("all", *[""] * (len(dimensions) - 1), *_texts(sums), style="bold")
    return table


def _shown(group: str) -> str:
    """Write a value of a dimension: outcomes without their prefix, days without their midnight."""
    if group.startswith(OUTCOME):
        return group.removeprefix(OUTCOME).lower()
    return group.removesuffix(MIDNIGHT) or "-"


def _numbers(row: Json) -> list[int]:
    tokens = {name: int(row.get("tokens", {}).get(name, 0)) for name in TOKEN_CLASSES}
    return [
        int(row.get("operations", 0)),
        tokens["input"] + tokens["cache_read"] + tokens["cache_write"],
        tokens["output"] + tokens["reasoning"],
        int(row.get("cost_nanos", 0)),
        int(row.get("avoided_cost_nanos", 0)),
    ]


def _texts(numbers: list[int]) -> list[str]:
    *counts, cost, saved = numbers
    return [*(f"{count:,}" for count in counts), dollars(cost), dollars(saved)]


def _chart(rows: list[Json], place: int) -> Table:
    costs: dict[str, int] = {}
    for row in rows:
        at = row["group"][place]
        costs[at] = costs.get(at, 0) + int(row.get("cost_nanos", 0))
    return bars([(_shown(at), nanos, dollars(nanos)) for at, nanos in sorted(costs.items())])


def _exhaustion(found: Json) -> str:
    usual, soonest = found.get("exhaustion_p50_hours"), found.get("exhaustion_p10_hours")
    if usual is None:
        return "The budget lasts for the next 31 days, most likely."
    return f"The budget is used up in {usual} hours, most likely; in {soonest} if it goes badly."


def _span(since: str, until: str) -> dict[str, str]:
    times = {"start_time": since, "end_time": until}
    return {name: read_time(text) for name, text in times.items() if text}


def _pages(edge: Edge, path: str, **query: Any) -> Any:
    token = ""
    while True:
        page = edge.get(path, **query, page_token=token)
        yield page
        token = page.get("next_page_token", "")
        if not token:
            return
