"""Back up what a cache keeps on disk, and put it back: `python -m penstock_cache.backup save|restore FILE`.

A backup is a tar of the root secret, the receipts of erasures and the last snapshot. What is torn, changed or another
installation's is neither saved nor restored. What was forgotten since stays forgotten: of two logs of erasures the
longer one is kept, and a snapshot that is older than it is not used.
"""

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

from penstock_cache.erasure_log import ErasureLog
from penstock_cache.partition import RoomKeys
from penstock_cache.root_secret import RootSecretError, load_root_secret
from penstock_cache.settings import CacheSettings
from penstock_cache.snapshot import SnapshotError, SnapshotFormat

SECRET, ERASURES, SNAPSHOT = "root_secret", "erasures.jsonl", "snapshot"
MEMBERS = (SECRET, ERASURES, SNAPSHOT)


class BackupError(Exception):
    """There is nothing whole to save or to restore; says what is wrong."""


def main() -> None:
    """Save or restore the cache of this environment's data directory, and say how many answers that are."""
    parser = argparse.ArgumentParser(prog="python -m penstock_cache.backup", description=__doc__)
    parser.add_argument("verb", choices=("save", "restore"), help="restore only while the cache does not run")
    parser.add_argument("file", type=Path, help="the backup")
    arguments = parser.parse_args()
    folder = CacheSettings.load().service_dir
    try:
        done = save if arguments.verb == "save" else restore
        answers = done(folder, arguments.file)
    except (BackupError, OSError) as error:
        sys.exit(f"cache: {error}")
    print(f"{answers} answers: {arguments.file}")  # noqa: T201 - for the person who asked


def save(folder: Path, file: Path) -> int:
    """Write a backup of a cache's folder, also while it runs; give how many answers are in it.

    Raises:
        BackupError: there is no whole snapshot.
        OSError: a file cannot be read or written.
    """
    answers = _check(folder)
    draft = file.with_name(f"{file.name}.draft")
    with tarfile.open(draft, "w") as archive:
        for name in MEMBERS:
            if (folder / name).exists():
                archive.add(folder / name, name, recursive=False)
    draft.chmod(0o600)  # the root secret is in it
    draft.replace(file)
    return answers


def restore(folder: Path, file: Path) -> int:
    """Put a backup back into a cache's folder; give how many answers are in it. The cache must not run.

    Raises:
        BackupError: the backup is torn, changed or another installation's; then nothing was touched.
        OSError: a file cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restoring") as opened:
        drafts = Path(opened)
        _extract(file, drafts)
        answers = _check(drafts)
        if (folder / SECRET).exists() and (folder / SECRET).read_bytes() != (drafts / SECRET).read_bytes():
            raise BackupError(f"{file} is of another installation than {folder}")
        if _erasures(folder) > _erasures(drafts):
            (drafts / ERASURES).unlink(missing_ok=True)
        for name in MEMBERS:
            if (drafts / name).exists():
                (drafts / name).replace(folder / name)
    return answers


def _extract(file: Path, into: Path) -> None:
    try:
        with tarfile.open(file, "r:") as archive:
            for name in archive.getnames():
                member = archive.extractfile(name) if name in MEMBERS else None
                if member is not None:
                    (into / name).write_bytes(member.read())
                    (into / name).chmod(0o600)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{file} is no whole backup: {error}") from error


def _check(folder: Path) -> int:
    """Give how many answers a whole snapshot holds that belongs to the secret beside it."""
    if not (folder / SECRET).exists() or not (folder / SNAPSHOT).exists():
        raise BackupError("there is no snapshot; the cache writes one now and then, and when it stops")
    try:
        keys = RoomKeys(load_root_secret(folder / SECRET))
        _, kept = SnapshotFormat(keys).read(folder / SNAPSHOT)
    except (RootSecretError, SnapshotError) as error:
        raise BackupError("the snapshot is torn, changed or another installation's") from error
    return len(kept)


def _erasures(folder: Path) -> int:
    """Count the receipts in a folder; none where there is no cache yet."""
    if not (folder / SECRET).exists():
        return 0
    return ErasureLog(folder / ERASURES, RoomKeys(load_root_secret(folder / SECRET))).count()


if __name__ == "__main__":
    main()
