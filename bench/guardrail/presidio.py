"""Presidio's pattern recognisers, in an environment of their own, taking turns with us."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from harness import install
from harness.paths import BENCH, CACHE
from harness.turns import Worker

from guardrail.scanning import Span


class Presidio:
    """The peer in a process of its own; `absent` says why it is not there."""

    def __init__(self) -> None:
        self.absent = install.presidio() or None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.absent is None:
            log = Path(tempfile.gettempdir()) / "penstock-bench-presidio.log"
            command = [str(CACHE / "presidio" / "bin" / "python"), "-m", "engines.presidio"]
            self._worker = Worker("presidio", command, BENCH, log)
            self._stack.callback(self._worker.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, text: str) -> Sequence[Span]:
        """Give what it believes at 0.4 or more, its score for phones."""
        return [Span(*span) for span in self._worker.turn("find", text=text)["spans"]]

    def speed(self, texts: Sequence[str], seconds: float) -> dict[str, Any]:
        """Let it search texts again and again; give its bytes per CPU second."""
        return self._worker.turn("speed", texts=list(texts), seconds=seconds)
