"""Sign checkpoints. Each organization's log has a key of its own, derived from the root key, so replicas share it."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from penstock_guardrail.audit.checkpoint import checkpoint, origin, signed, verifier_key
from penstock_guardrail.sealing import derived_key


class Signer:
    """The signer of all logs."""

    def __init__(self, root_key: bytes) -> None:
        self._root_key = root_key

    def sign(self, organization: str, size: int, root: bytes) -> str:
        """Give a signed checkpoint."""
        key, name = self._key(organization), origin(organization)
        text = checkpoint(name, size, root)
        return signed(text, name, key.public_key().public_bytes_raw(), key.sign)

    def verifier_key(self, organization: str) -> str:
        """Give what a checkpoint is verified with."""
        return verifier_key(origin(organization), self._key(organization).public_key().public_bytes_raw())

    def _key(self, organization: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(derived_key(self._root_key, f"audit|{organization}"))
