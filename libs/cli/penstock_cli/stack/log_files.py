"""The logs of the programs: appended by themselves, cut by the supervisor, read by people."""

import shutil
from contextlib import suppress
from pathlib import Path

BYTES_MAX = 16 * 1024 * 1024


def log_file(run_dir: Path, name: str) -> Path:
    """Give the path of a program's log."""
    return run_dir / "logs" / f"{name}.log"


def rotate(path: Path, bytes_max: int = BYTES_MAX) -> None:
    """Move what a full log holds to `<name>.log.1`, over what was there.

    The writer appends (O_APPEND), so it goes on at the start of the emptied file. What it writes between copy and cut
    is lost: the price of not standing between a program and its log.
    """
    if path.exists() and path.stat().st_size > bytes_max:
        with suppress(OSError):  # on a full disk, room matters more than what was written
            shutil.copyfile(path, path.with_suffix(".log.1"))
        with path.open("r+b") as opened:
            opened.truncate(0)


def put_aside(run_dir: Path) -> None:
    """Move the logs of the last run to `<name>.log.1`, so that a new run begins with empty ones."""
    for path in (run_dir / "logs").glob("*.log"):
        path.replace(path.with_suffix(".log.1"))


def last_lines(path: Path, count: int, end: int | None = None) -> list[str]:
    """Give the last lines of a log, or of its first `end` bytes; none when there is no log yet."""
    if not path.exists():
        return []
    with path.open("rb") as opened:
        text = opened.read(-1 if end is None else end).decode(errors="replace")
    return text.splitlines()[-count:] if count else []
