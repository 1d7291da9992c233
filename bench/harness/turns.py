"""Processes that take turns: a request in JSON on a line, an answer on a line. Standard library only."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

_ANSWERS_VARIABLE = "BENCH_ANSWERS_FD"

Turn = Callable[..., dict[str, Any]]


def serve(turns: Mapping[str, Turn]) -> None:
    """Answer requests until the input ends, through a pipe of their own: libraries print where they like."""
    with os.fdopen(int(os.environ[_ANSWERS_VARIABLE]), "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(turns[request.pop("turn")](**request)), file=answers, flush=True)


def in_loop(runner: asyncio.Runner, turn: Callable[..., Coroutine[Any, Any, dict[str, Any]]]) -> Turn:
    """Let an event loop run while it is a coroutine's turn."""
    return lambda **arguments: runner.run(turn(**arguments))


class Worker:
    """The other side: a process that waits for its turn."""

    def __init__(self, name: str, command: list[str], cwd: Path, log: Path) -> None:
        self.name = name
        self._log = log
        answers, theirs = os.pipe()
        self._answers = os.fdopen(answers)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, _ANSWERS_VARIABLE: str(theirs)},
                pass_fds=(theirs,),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
            )
        os.close(theirs)

    def turn(self, turn: str, **arguments: object) -> dict[str, Any]:
        """Let it do one thing and wait for what it measured."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"turn": turn, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
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
