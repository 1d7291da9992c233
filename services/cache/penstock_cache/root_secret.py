"""The root secret of this installation, kept in a file that only we may read."""

import os
import secrets
from pathlib import Path

from penstock_cache.partition import ROOT_SECRET_BYTES


class RootSecretError(Exception):
    """The file does not hold a root secret."""


def load_root_secret(path: Path) -> bytes:
    """Read the secret; make it first when there is none. Processes that race for it end up with the same one.

    Raises:
        RootSecretError: the file is damaged. It is never overwritten: answers kept elsewhere are found by it.
    """
    if not path.exists():
        _create(path)
    secret = path.read_bytes()
    if len(secret) != ROOT_SECRET_BYTES:
        raise RootSecretError(
            f"{path} holds {len(secret)} bytes, not {ROOT_SECRET_BYTES}: restore or remove it"
        )
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(secrets.token_bytes(ROOT_SECRET_BYTES))
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, path)  # whole or not at all, and never over another's
        except FileExistsError:
            return
    finally:
        draft.unlink()
