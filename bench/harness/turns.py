"""Processes that take turns: a request in JSON on a line, an answer on a line. Standard library only."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Turn = Callable[..., dict[str, Any]]


def serve(turns: Mapping[str, Turn]) -> None:
    """Answer requests until the input ends. What libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(turns[request.pop("turn")](**request)), file=answers, flush=True)


class Worker:
    """The other side: a process that waits for its turn."""

    def __init__(self, name: str, command: list[str], cwd: Path, log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def turn(self, turn: str, **arguments: object) -> dict[str, Any]:
        """Let it do one thing and wait for what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"turn": turn, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} died in its turn: see {self._log}")
        measured: dict[str, Any] = json.loads(answer)
        return measured

    def stop(self) -> None:
        """End it by ending its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
