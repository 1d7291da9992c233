"""What a benchmark leaves behind: a file that says how to repeat it, and one line of JSON at the very end."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from harness.paths import REPO, RESULTS

_BUSY_SECONDS = 0.5
_BUSY_PERCENT_MAX = 10


class Report:
    """The results of one run. A quick run's files end in -quick, and git ignores them."""

    def __init__(self, name: str, *, quick: bool) -> None:
        """Make it before anything is started: it looks at what else keeps the machine busy."""
        self.name = name
        self.quick = quick
        self._busy_percent = [psutil.cpu_percent(_BUSY_SECONDS)]

    def path(self, suffix: str) -> Path:
        """Name a file of this run."""
        RESULTS.mkdir(exist_ok=True)
        return RESULTS / f"{self.name}{'-quick' if self.quick else ''}{suffix}"

    def finish(self, figures: dict[str, Any], details: dict[str, Any]) -> None:
        """Write the results with commit, command and machine, then print the figures as the last line.

        Call it when all that was started is stopped.
        """
        self._busy_percent.append(psutil.cpu_percent(_BUSY_SECONDS))
        if max(self._busy_percent) > _BUSY_PERCENT_MAX:
            print(
                f"Something else kept the machine busy ({self._busy_percent} % of it): do not trust these figures."
            )
        run = {
            "command": _command(),
            "commit": _commit(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        result = {
            "bench": self.name,
            **run,
            "machine": _machine(),
            "busy_percent": self._busy_percent,
            "figures": figures,
            **details,
        }
        self.path(".json").write_text(json.dumps(result, indent=2) + "\n")
        print(f"results: {self.path('.json').relative_to(REPO)}")
        print(json.dumps({**figures, "busy_percent": max(self._busy_percent)}), flush=True)


def rounded(value: float, digits: int = 3) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")


def _command() -> str:
    program = Path(sys.argv[0]).resolve().relative_to(REPO)
    return " ".join(["python", str(program), *sys.argv[1:]])


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=REPO, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "libs", "services", "protos")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def _machine() -> dict[str, Any]:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": models[0].split(":", 1)[1].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
