"""`penstock chat`."""

import os
import sys
from typing import Annotated

import typer
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from penstock_cli.answer import Answer, ask, ask_streaming
from penstock_cli.commands.models import first_model
from penstock_cli.console import err, out
from penstock_cli.edge import Edge, Json, find_connection, open_edge
from penstock_cli.failure import Failure
from penstock_cli.place import find_place

FRAMES_PER_SECOND = 12


def chat(
    message: Annotated[
        str, typer.Argument(help="What to say; without it, standard input or a dialogue.")
    ] = "",
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="The model; without it, one of our own.", envvar="PENSTOCK_MODEL"),
    ] = "",
    system: Annotated[str, typer.Option("--system", "-s", help="Instructions for the model.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Most tokens of the answer.", min=1)] = 512,
    temperature: Annotated[float, typer.Option(help="Randomness, 0 to 2.", min=0, max=2)] = 0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.")] = None,
    stream: Annotated[bool, typer.Option(help="Show the answer as it comes.")] = True,
    cache: Annotated[bool, typer.Option(help="Let the cache answer and remember.")] = True,
) -> None:
    """Ask a model. The answer goes to standard output, what it took to standard error.

    Try it:

    ```sh
    penstock chat "What is the capital of France?"
    cat letter.txt | penstock chat --system "Summarise the letter in one sentence."
    penstock chat        # a dialogue, until Ctrl-D
    ```
    """
    with open_edge(find_connection(find_place(os.environ))) as edge:
        body: Json = {"model": model or first_model(edge, "CHAT"), "temperature": temperature}
        body |= {"max_completion_tokens": max_tokens}
        body |= {"seed": seed} if seed is not None else {}
        body |= {} if cache else {"cache_control": {"no_cache": True, "no_store": True}}
        turns = [{"role": "system", "content": system}] if system else []
        if not message and sys.stdin.isatty():
            _dialogue(edge, body, turns, stream=stream)
        else:
            said = message or sys.stdin.read()
            _turn(edge, {**body, "messages": [*turns, {"role": "user", "content": said}]}, stream=stream)


def show_answer(edge: Edge, body: Json) -> Answer:
    """Stream an answer to standard output: as Markdown on a terminal, plain elsewhere."""
    answer = Answer()
    pieces = ask_streaming(edge, body, answer)
    if not out.is_terminal:
        for piece in pieces:
            out.out(piece, end="", highlight=False)
            out.file.flush()
        out.out("")
        return answer
    with Live(console=out, refresh_per_second=FRAMES_PER_SECOND, vertical_overflow="visible") as live:
        for _ in pieces:
            live.update(Markdown(answer.text))
    return answer


def _turn(edge: Edge, body: Json, *, stream: bool) -> Answer:
    if stream:
        answer = show_answer(edge, body)
    else:
        answer = ask(edge, body)
        out.print(Markdown(answer.text) if out.is_terminal else Text(answer.text))
    err.print(Text(answer.summary(), "dim"))
    err.print(Text(answer.names(), "dim"))
    return answer


def _dialogue(edge: Edge, body: Json, turns: list[Json], *, stream: bool) -> None:
    """Take turns until the end of input; a failed turn is said and forgotten."""
    while True:
        try:
            said = err.input("[bold cyan]›[/bold cyan] ").strip()
        except EOFError:
            return
        if not said:
            continue
        asked = [*turns, {"role": "user", "content": said}]
        try:
            answer = _turn(edge, {**body, "messages": asked}, stream=stream)
        except Failure as failure:
            err.print(Text(f"✗ {failure.message} {failure.hint}", "red"))
            continue
        turns = [*asked, {"role": "assistant", "content": answer.text}]
