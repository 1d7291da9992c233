"""The `penstock` command."""

import sys
from collections.abc import Callable, Sequence

import typer
from rich.text import Text

from penstock_cli.commands import (
    audit,
    budget,
    cache,
    chat,
    demo,
    embed,
    engine,
    erase,
    invoice,
    keys,
    limits,
    logs,
    model,
    models,
    policy,
    prices,
    status,
    up,
    usage,
)
from penstock_cli.console import err
from penstock_cli.failure import Failure

INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="penstock",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Run Penstock and talk to it.

    Start here:

    ```sh
    penstock up
    penstock chat "What is the capital of France?"
    ```

    Settings come from the environment, else from the stack started here (.run/env): PENSTOCK_URL, PENSTOCK_API_KEY.
    """,
)
_THE_STACK: tuple[Callable[..., None], ...] = (up.up, up.down, status.status, logs.logs, demo.demo)
_REQUESTS: tuple[Callable[..., None], ...] = (chat.chat, models.models, embed.embed)
for command in _THE_STACK:
    app.command(rich_help_panel="The stack")(command)
for command in _REQUESTS:
    app.command(rich_help_panel="Requests")(command)
app.add_typer(engine.app, name="engine", rich_help_panel="Models")
app.add_typer(model.app, name="model", rich_help_panel="Models")
app.add_typer(keys.app, name="keys", rich_help_panel="Requests")
for name, group in (
    ("usage", usage.app),
    ("budget", budget.app),
    ("limits", limits.app),
    ("invoice", invoice.app),
    ("prices", prices.app),
):
    app.add_typer(group, name=name, rich_help_panel="Money")
app.add_typer(cache.app, name="cache", rich_help_panel="Requests")
app.add_typer(policy.app, name="policy", rich_help_panel="Compliance")
app.add_typer(audit.app, name="audit", rich_help_panel="Compliance")
app.add_typer(erase.app, name="erase", rich_help_panel="Compliance")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; say what failed in one line, and what to do about it."""
    try:
        app(arguments)
    except Failure as failure:
        err.print(Text.assemble(("✗ ", "red"), (failure.message, "bold")))
        if failure.hint:
            err.print(Text(failure.hint, "dim"), soft_wrap=True)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:  # who read our output has seen enough
        sys.exit(0)
