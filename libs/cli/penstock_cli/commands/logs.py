"""`penstock logs`."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from penstock_cli.console import out
from penstock_cli.failure import Failure
from penstock_cli.log_line import readable
from penstock_cli.place import find_place
from penstock_cli.stack.log_files import last_lines, log_file

POLL_SECONDS = 0.2
LINES = 50
_COLOURS = ("cyan", "magenta", "blue", "yellow", "green", "bright_cyan", "bright_magenta", "bright_blue")


def logs(
    service: Annotated[str, typer.Argument(help="One service; without it, all of them.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", help="How many of the last lines to show.", min=0)
    ] = LINES,
    raw: Annotated[bool, typer.Option("--raw", help="Print lines as they were written.")] = False,
) -> None:
    """Show what the programs wrote.

    One program, as it writes:

    ```sh
    penstock logs router -f
    ```

    One request through all services, by its id:

    ```sh
    penstock logs --raw -n 10000 | grep 019aa4d2
    ```
    """
    paths = _paths(service)
    show = _print_raw if raw else _printer(list(paths))
    positions = {name: path.stat().st_size for name, path in paths.items()}
    for name, path in paths.items():
        for line in last_lines(path, lines, positions[name]):
            show(name, line)
    if follow:
        _follow(paths, positions, show)


def _print_raw(_name: str, line: str) -> None:
    out.out(line, highlight=False)


def _printer(names: list[str]) -> Callable[[str, str], None]:
    """Give what prints a line readably, after the name of who wrote it when there are several."""
    width = max(map(len, names))
    styles = dict(zip(names, itertools.cycle(_COLOURS)))

    def show(name: str, line: str) -> None:
        prefix = Text(f"{name:<{width}} ", styles[name]) if len(names) > 1 else Text()
        out.print(prefix + readable(line), soft_wrap=True)

    return show


def _paths(service: str) -> dict[str, Path]:
    run_dir = find_place(os.environ).run_dir
    found = {path.stem: path for path in sorted(log_file(run_dir, "any").parent.glob("*.log"))}
    if not found:
        raise Failure("no stack was started here", hint="Start one with `penstock up`.")
    if service and service not in found:
        raise Failure(f"no log of {service!r}", hint=f"There are: {', '.join(found)}.")
    return {service: found[service]} if service else found


def _follow(paths: dict[str, Path], positions: dict[str, int], show: Callable[[str, str], None]) -> None:
    while True:
        for name, path in paths.items():
            for line in _new_lines(path, name, positions):
                show(name, line)
        time.sleep(POLL_SECONDS)


def _new_lines(path: Path, name: str, positions: dict[str, int]) -> Iterator[str]:
    """Give whole lines that were written since; start over when the log was cut."""
    size = path.stat().st_size
    if size < positions[name]:
        positions[name] = 0
    with path.open("rb") as opened:
        opened.seek(positions[name])
        for line in opened:
            if not line.endswith(b"\n"):
                return
            positions[name] += len(line)
            yield line.decode(errors="replace").rstrip("\n")
