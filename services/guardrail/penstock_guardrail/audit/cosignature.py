"""What a witness signed (C2SP tlog-cosignature): a checkpoint of ours, and one line more."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

_COSIGNATURE = b"\x04"
_KEY_ID_BYTES, _TIME_BYTES, _PUBLIC_KEY_BYTES = 4, 8, 32

# Tells whether a signature over a text is of a public key.
Verify = Callable[[bytes, bytes, bytes], bool]


class NotCosignedError(ValueError):
    """It is not what a witness signed; the message says why."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name, the id of its key, and the key."""

    name: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def parse(cls, verifier_key: str) -> "Witness":
        """Read a verifier key: `name+id+key`, of signatures with a time.

        Raises:
            NotCosignedError: it is none.
        """
        name, _, rest = verifier_key.partition("+")
        key_id, _, encoded = rest.partition("+")
        content = _unbase64(encoded)
        own_id = hashlib.sha256(name.encode() + b"\n" + content).digest()[:_KEY_ID_BYTES]
        if content[:1] != _COSIGNATURE or len(content) != 1 + _PUBLIC_KEY_BYTES or own_id.hex() != key_id:
            raise NotCosignedError("witness_key is not the verifier key of a witness")
        return cls(name, own_id, content[1:])

    def check(self, cosigned: str, checkpoint: str, verify: Verify) -> None:
        """Make sure that a note is a checkpoint of ours and this witness's signature of it, and nothing else.

        Raises:
            NotCosignedError: it is not.
        """
        if not cosigned.startswith(checkpoint):
            raise NotCosignedError("this is not a checkpoint of the log")
        line, mark = cosigned.removeprefix(checkpoint), f"\N{EM DASH} {self.name} "
        if not line.startswith(mark) or not line.endswith("\n"):
            raise NotCosignedError("the line after the checkpoint is not the signature of the witness")
        content = _unbase64(line.removeprefix(mark).removesuffix("\n"))
        key_id, time = content[:_KEY_ID_BYTES], content[_KEY_ID_BYTES:][:_TIME_BYTES]
        text = checkpoint.partition("\n\n")[0]
        signed = f"cosignature/v1\ntime {int.from_bytes(time, 'big')}\n{text}\n".encode()
        signature = content[_KEY_ID_BYTES + _TIME_BYTES :]
        if key_id != self.key_id or not verify(self.public_key, signature, signed):
            raise NotCosignedError("the signature is not of the witness, or not of this checkpoint")


def size_of(checkpoint: str) -> int:
    """Read of how many entries a checkpoint is said to be.

    Raises:
        NotCosignedError: it is no checkpoint.
    """
    lines = checkpoint.split("\n", 2)
    if len(lines) < 3 or not lines[1].isdecimal() or len(lines[1]) > len(str(1 << 31)):  # noqa: PLR2004 - name, size, root
        raise NotCosignedError("this is not a checkpoint")
    return int(lines[1])


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotCosignedError("this is not base64") from error
