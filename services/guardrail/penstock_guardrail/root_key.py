"""The root key: 32 random bytes in a file of its owner's, under which the keys of all organizations are wrapped."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from servicekit.errors import Unavailable

from penstock_guardrail.sealing import key_id

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class RootKeys:
    """The root keys that a replica knows.

    Args:
        current: wraps what is new.
        former: what it wraps is wrapped anew under the current one.
        coming: what other replicas, who have it as their current one already, wrap with it can be read.
    """

    current: bytes
    former: bytes | None = None
    coming: bytes | None = None

    @property
    def ids(self) -> set[str]:
        """Name them."""
        return {key_id(key) for key in (self.current, self.former, self.coming) if key is not None}

    def of(self, root_key_id: str) -> bytes:
        """Give the key of a name.

        Raises:
            Unavailable: it is none of them: this replica was not told of a rotation (STORAGE_UNAVAILABLE).
        """
        for key in (self.current, self.former, self.coming):
            if key is not None and key_id(key) == root_key_id:
                return key
        raise Unavailable(
            "STORAGE_UNAVAILABLE",
            "The vault is of a root key that is not known here.",
            metadata={"store": "vault", "root_key": root_key_id},
        )


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
