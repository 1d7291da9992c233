"""The files of the usage journal: appended to, made safe, and the oldest deleted when all grow too large."""

import errno
import os
from pathlib import Path

SEGMENTS = 8  # of equal size, when the journal is full
_PATTERN = "*.usage"


class Segments:
    """Numbered files in one directory. One thread appends, another may sync."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._bytes_max = bytes_max
        self._current: _OpenFile | None = None
        self._unsynced: list[_OpenFile] = []

    def paths(self) -> list[Path]:
        """Give the segments, oldest first."""
        return sorted(self._directory.glob(_PATTERN))

    @property
    def current(self) -> Path | None:
        """Say which segment takes the next line; None when a new one must be begun."""
        file = self._current
        return None if file is None or file.size > self._bytes_max // SEGMENTS else file.path

    def begin(self) -> Path:
        """Begin a new segment."""
        paths = self.paths()
        number = int(paths[-1].stem) + 1 if paths else 0
        self._current = _OpenFile(self._directory / _PATTERN.replace("*", f"{number:08}"))
        self._unsynced.append(self._current)
        return self._current.path

    def append(self, line: bytes) -> None:
        """Append to the current segment. After an OSError it takes no more: its last line may be torn."""
        file = self._current
        assert file is not None
        try:
            file.append(line)
        except OSError:
            self._current = None
            if not file.lines:
                file.path.unlink()
            raise

    def delete_oldest(self) -> list[Path]:
        """Delete what is beyond the size limit, and say what it was."""
        paths = self.paths()
        sizes = [path.stat().st_size for path in paths]
        deleted: list[Path] = []
        while sum(sizes) > self._bytes_max:
            del sizes[0]
            deleted.append(paths[len(deleted)])
            deleted[-1].unlink()
        return deleted

    def sync(self) -> None:
        """Make all that was appended safe from a power cut, and close the files that take no more."""
        for file in self._unsynced.copy():
            # In this order: what is current when it is synced may have lines to come.
            over = file is not self._current
            os.fsync(file.descriptor)
            if over:
                os.close(file.descriptor)
                self._unsynced.remove(file)

    def close(self) -> None:
        """Sync and close; no call may follow."""
        self._current = None
        self.sync()


class _OpenFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.lines = 0
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)

    def append(self, line: bytes) -> None:
        written = os.write(self.descriptor, line)
        self.size += written
        if written < len(line):
            raise OSError(errno.ENOSPC, "the line was cut short", str(self.path))
        self.lines += 1
