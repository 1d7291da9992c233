"""Keep converted models on disk, so that only the first start pays for the conversion."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"  # how directories of builds end that are under way, or were killed
MANIFEST = "manifest.json"


class BuildCache:
    """Directories by key and version, each with the digests of its files.

    Several processes may share one cache. Of each key only the version last built is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str, version: str, build: Callable[[Path], None]) -> Path:
        """Give the directory that `build` filled, now or before; one that is damaged is built again.

        Whoever comes second waits for the first. A build that fails or is killed leaves no entry.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        entry = self._directory / f"{key}@{version}"
        with _lock(self._directory / f"{key}.lock"):
            if not is_intact(entry):
                for leftover in self._directory.glob(f"{key}@*"):
                    shutil.rmtree(leftover)
                build_entry(entry, build)
        return entry


def is_intact(entry: Path) -> bool:
    """Tell whether an entry holds exactly what was built."""
    manifest = entry / MANIFEST
    if not manifest.exists():
        return False
    try:
        expected = json.loads(manifest.read_bytes())
    except ValueError:
        return False
    return bool(expected == _digests(entry))


def build_entry(entry: Path, build: Callable[[Path], None]) -> None:
    """Fill a new directory, all at once: it is there when it is whole."""
    unfinished = entry.with_name(f"{entry.name}{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)  # of one who was killed
    unfinished.mkdir(parents=True)
    build(unfinished)
    (unfinished / MANIFEST).write_text(json.dumps(_digests(unfinished)))
    unfinished.rename(entry)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go by closing, or by dying
        yield


def _digests(directory: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(directory.iterdir()):
        if path.name != MANIFEST:
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
