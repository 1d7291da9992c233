"""The start of a stack as people see it: a live table on a terminal, a line for each program elsewhere."""

import time

from rich.console import Console, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from penstock_cli.stack.starting import Progress
from penstock_cli.stack.state import Phase

_WORDS = {
    Phase.RUNNING: Text("starting", "yellow"),
    Phase.WAITING: Text("died, starts again", "red"),
    Phase.DRAINING: Text("draining", "yellow"),
    Phase.STOPPED: Text("not started", "dim"),
}


class TableProgress:
    """A table that draws itself anew whenever it is asked."""

    def __init__(self) -> None:
        self._progress: dict[str, Progress] = {}
        self._began = time.monotonic()
        self._spinner = Spinner("dots")

    def update(self, progress: dict[str, Progress]) -> None:
        """Take note of how far everything is."""
        self._progress = progress

    def __rich__(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for name, each in self._progress.items():
            seconds = each.ready_after_seconds
            if seconds is None:
                elapsed = time.monotonic() - self._began
                table.add_row(self._spinner, name, _WORDS[each.state.phase], Text(f"{elapsed:.1f} s", "dim"))
            else:
                table.add_row(
                    Text("✓", "green"), name, Text("serves", "green"), Text(f"{seconds:.1f} s", "dim")
                )
        return table


class PlainProgress:
    """A line when a program serves, and one each time it dies."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ready: set[str] = set()
        self._restarts: dict[str, int] = {}

    def update(self, progress: dict[str, Progress]) -> None:
        """Print what is new."""
        for name, each in progress.items():
            if each.state.restarts > self._restarts.setdefault(name, each.state.restarts):
                self._restarts[name] = each.state.restarts
                self._console.print(f"  {name} died with {each.state.exit_code} and was started again")
            if each.ready_after_seconds is not None and name not in self._ready:
                self._ready.add(name)
                self._console.print(f"  {name} serves after {each.ready_after_seconds:.1f} s")
