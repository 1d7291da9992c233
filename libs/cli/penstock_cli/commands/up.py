"""`penstock up` and `penstock down`."""

import asyncio
import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer
from rich.live import Live

from penstock_cli.console import err, out
from penstock_cli.failure import Failure
from penstock_cli.place import Place, find_place
from penstock_cli.progress import PlainProgress, TableProgress
from penstock_cli.stack.composition import compose, ports
from penstock_cli.stack.credentials import bootstrap_key_file, read_env_file, write_env_file
from penstock_cli.stack.launch import start_supervisor, stop_supervisor
from penstock_cli.stack.ports import PortInUseError, check_free
from penstock_cli.stack.program import Program, read_programs
from penstock_cli.stack.starting import Show, wait_until_serving
from penstock_cli.stack.state import is_supervised

SECONDS_MAX = 180.0


def up(
    wait: Annotated[bool, typer.Option(help="Return when every health check serves.")] = True,
    timeout_seconds: Annotated[float, typer.Option(help="How long to wait for that.", min=1)] = SECONDS_MAX,
) -> None:
    """Start the whole stack in the background, with embedded defaults.

    Five services, the gateway and Envoy, each started again when it dies. The address and a development key are
    written to .run/env:

    ```sh
    penstock up && source .run/env
    curl -H "authorization: Bearer $PENSTOCK_API_KEY" $PENSTOCK_URL/v1/models
    ```

    A second stack beside the first:

    ```sh
    PENSTOCK_RUN_DIR=.run2 PENSTOCK_PORT_OFFSET=1000 penstock up
    ```
    """
    place = find_place(os.environ)
    start(place, timeout_seconds if wait else 0)


def start(place: Place, timeout_seconds: float) -> None:
    """Start the stack unless it runs; wait until it serves. What does not come up is taken down again."""
    began = time.monotonic()
    runs_already = is_supervised(place.run_dir)
    programs = read_programs(place.run_dir) if runs_already else _start_programs(place)
    try:
        if timeout_seconds:
            _wait(place, programs, timeout_seconds)
    except (Failure, KeyboardInterrupt):
        if not runs_already:
            err.print("[dim]Taking down what was started…[/dim]")
            stop_supervisor(place.run_dir)
        raise
    seconds = f"is up after {time.monotonic() - began:.1f} s" if timeout_seconds else "is starting"
    url = read_env_file(place.run_dir)["PENSTOCK_URL"]
    out.print(
        f"[green]✓[/green] The stack {'is up already' if runs_already else seconds} at [bold]{url}[/bold];"
        f" how to reach it is in {place.run_dir / 'env'}"
    )


def down() -> None:
    """Stop the stack: the edge takes nothing new, what was accepted is finished, then the services stop."""
    place = find_place(os.environ)
    with err.status("Finishing what was accepted…"):
        stopped = stop_supervisor(place.run_dir)
    out.print("[green]✓[/green] The stack is down." if stopped else "No stack runs here.")


def _start_programs(place: Place) -> list[Program]:
    place.run_dir.mkdir(parents=True, exist_ok=True)
    programs = compose(place)
    try:
        check_free(ports(place))
    except PortInUseError as error:
        raise Failure(f"the stack cannot start: {error}") from error
    key = bootstrap_key_file(place.run_dir).read_text().strip()
    write_env_file(place.run_dir, place.edge_port, key)
    start_supervisor(place.run_dir, programs)
    return programs


def _wait(place: Place, programs: list[Program], seconds_max: float) -> None:
    show: Show
    if err.is_terminal:
        table = TableProgress()
        live: AbstractContextManager[object] = Live(table, console=err, refresh_per_second=12)
        show = table.update
    else:
        live, show = nullcontext(), PlainProgress(err).update
    with live:
        asyncio.run(wait_until_serving(place.run_dir, programs, show, seconds_max))
