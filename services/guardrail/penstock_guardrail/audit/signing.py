"""Sign checkpoints. Each organization's log has a key of its own, which replicas share."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from penstock_guardrail.audit.checkpoint import checkpoint, origin, signed, verifier_key


class Signer:
    """Signs for one organization, with a key of 32 bytes."""

    def __init__(self, organization: str, key: bytes) -> None:
        self._name = origin(organization)
        self._key = Ed25519PrivateKey.from_private_bytes(key)

    def sign(self, size: int, root: bytes) -> str:
        """Give a signed checkpoint."""
        return signed(checkpoint(self._name, size, root), self._name, self._public, self._key.sign)

    @property
    def verifier_key(self) -> str:
        """What a checkpoint is verified with."""
        return verifier_key(self._name, self._public)

    @property
    def _public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()


def verified(public_key: bytes, signature: bytes, text: bytes) -> bool:
    """Tell whether a signature over a text is of a public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except InvalidSignature:
        return False
    return True
