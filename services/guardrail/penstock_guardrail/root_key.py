"""The root key: 32 random bytes in a file of its owner's, under which the keys of all organizations are wrapped."""

import os
import secrets
import tempfile
from pathlib import Path

KEY_BYTES = 32


class RootKeyError(Exception):
    """The root key cannot be used; the message says what to do."""


def read_or_create(path: Path) -> bytes:
    """Read the key; make it, readable for its owner only, when there is none yet. Safe when several replicas start."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
    return read(path)


def read(path: Path) -> bytes:
    """Read the key, 64 hexadecimal digits.

    Raises:
        RootKeyError: there is none, or it is not of that form.
    """
    try:
        key = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as error:
        raise RootKeyError(f"cannot read the root key {path}: {error}") from error
    if len(key) != KEY_BYTES:
        raise RootKeyError(f"the root key {path} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def _create(path: Path) -> None:
    """Put a new key in place whole or not at all, and only where there is none."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass  # Another replica was first; its key is the one.
    finally:
        Path(temporary).unlink()
