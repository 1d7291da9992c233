"""Sealing under keys: AES-256-GCM with a random nonce. The only module that imports cryptography."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBrokenError(Exception):
    """What was sealed was changed, or is of another key or place."""


def new_key() -> bytes:
    """Make a key."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, value: bytes, place: str) -> bytes:
    """Encrypt a value so that it opens only with the key and for the same place (the associated data)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, value, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    """Decrypt what was sealed for a place.

    Raises:
        SealBrokenError: it is not what was sealed with this key for this place.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: too short to be one
        raise SealBrokenError(place) from error


def derived_key(key: bytes, purpose: str) -> bytes:
    """Derive a key for one purpose."""
    return hmac.digest(key, purpose.encode(), "sha256")


def key_id(key: bytes) -> str:
    """Name a key without giving it away."""
    return hashlib.sha256(b"penstock key id|" + key).hexdigest()[:16]
