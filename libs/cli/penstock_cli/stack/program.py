"""What is run: a program, how it is seen to serve, and how it is stopped. Kept as JSON in the run directory."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Check:
    """How a program is seen to serve.

    Args:
        kind: "grpc" asks grpc.health.v1; "http" wants a GET to answer 200.
        target: "host:port", or a URL.
    """

    kind: Literal["grpc", "http"]
    target: str


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the stack.

    Args:
        name: names its log and what people call it.
        command: the program and its arguments.
        check: how it is seen to serve.
        address: where it serves, for people.
        environment: added to the supervisor's own.
        secrets: variables whose values are in files, so that no secret is written here.
        stop_stage: programs of a lower stage are stopped first.
        drain_seconds: how long it may take from SIGTERM to its end before it is killed.
    """

    name: str
    command: tuple[str, ...]
    check: Check
    address: str
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    stop_stage: int = 0
    drain_seconds: float = 35.0


def write_programs(run_dir: Path, programs: list[Program]) -> None:
    """Write what is to be run."""
    _file(run_dir).write_text(json.dumps([asdict(program) for program in programs], indent=2) + "\n")


def read_programs(run_dir: Path) -> list[Program]:
    """Read what is to be run."""
    return [_program(each) for each in json.loads(_file(run_dir).read_text())]


def _file(run_dir: Path) -> Path:
    return run_dir / "programs.json"


def _program(values: dict[str, Any]) -> Program:
    return Program(**{**values, "command": tuple(values["command"]), "check": Check(**values["check"])})
