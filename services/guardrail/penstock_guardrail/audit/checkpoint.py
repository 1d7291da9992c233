"""Checkpoints (C2SP tlog-checkpoint) as signed notes (C2SP signed-note), which any witness can verify and cosign."""

import base64
import hashlib
from collections.abc import Callable

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4

Sign = Callable[[bytes], bytes]


def origin(organization: str) -> str:
    """Name the log of an organization; it is the name of its key too."""
    return f"penstock.audit/{organization}"


def checkpoint(name: str, size: int, root: bytes) -> str:
    """Write the text that is signed."""
    return f"{name}\n{size}\n{_base64(root)}\n"


def signed(text: str, name: str, public_key: bytes, sign: Sign) -> str:
    """Write a text with its signature: an Ed25519 signature over the text, named by its key."""
    signature = _key_id(name, public_key) + sign(text.encode())
    return f"{text}\n\N{EM DASH} {name} {_base64(signature)}\n"


def verifier_key(name: str, public_key: bytes) -> str:
    """Write the key that verifies: name, id and the key itself."""
    return f"{name}+{_key_id(name, public_key).hex()}+{_base64(_ED25519 + public_key)}"


def _key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_ID_BYTES]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
