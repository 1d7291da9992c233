"""Signed notes and checkpoints, as C2SP signed-note, tlog-checkpoint and tlog-cosignature define them."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from penstock_cli.audit.proof import ProofError

_ED25519, _COSIGNATURE = 1, 4
_KEY_ID_BYTES, _TIME_BYTES, _ROOT_BYTES = 4, 8, 32
_MARK = "\N{EM DASH} "
_BODY_LINES_MIN = 3


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key by name: of a log, or of a witness."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Name the key."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        encoded = _base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read a verifier key.

        Raises:
            ProofError: it is none.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        content = _unbase64(encoded)
        if not name or len(content) != 1 + 32 or content[0] not in (_ED25519, _COSIGNATURE):
            raise ProofError("this is not a verifier key")
        verifier = cls(name, content[0], content[1:])
        if verifier.key_id.hex() != key_id:
            raise ProofError("the verifier key is damaged: its id is another key's")
        return verifier

    def verify(self, note: "Note") -> None:
        """Verify that the key's owner signed a note.

        Raises:
            ProofError: it did not.
        """
        for name, blob in note.signatures:
            if name == self.name and blob[:_KEY_ID_BYTES] == self.key_id:
                self._check(note.text, blob[_KEY_ID_BYTES:])
                return
        raise ProofError(f"{self.name} has not signed this")

    def _check(self, text: str, signature: bytes) -> None:
        signed = text.encode()
        if self.algorithm == _COSIGNATURE:
            time = int.from_bytes(signature[:_TIME_BYTES], "big")
            signed, signature = _cosigned(text, time), signature[_TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, signed)
        except InvalidSignature as error:
            raise ProofError(f"the signature of {self.name} is not of this text") from error


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures: pairs of name and content."""

    text: str
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, content: str) -> "Note":
        """Read a note.

        Raises:
            ProofError: it is none.
        """
        text, gap, rest = content.rpartition("\n\n")
        lines = rest.splitlines()
        if not gap or not lines or not all(line.startswith(_MARK) for line in lines):
            raise ProofError("this is not a signed checkpoint")
        pairs = [line.removeprefix(_MARK).rpartition(" ") for line in lines]
        return cls(f"{text}\n", tuple((name, _unbase64(blob)) for name, _, blob in pairs))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: of which log, how long it is, and the root of its tree."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, note: Note) -> "Checkpoint":
        """Read the text of a note.

        Raises:
            ProofError: it is not a checkpoint.
        """
        lines = note.text.splitlines()
        if len(lines) < _BODY_LINES_MIN or not lines[1].isdecimal():
            raise ProofError("this is not a checkpoint")
        root = _unbase64(lines[2])
        if len(root) != _ROOT_BYTES:
            raise ProofError("this is not a checkpoint")
        return cls(lines[0], int(lines[1]), root)


def cosigned(content: str, name: str, key: Ed25519PrivateKey, time: int) -> str:
    """Add a witness's signature to a note: that it saw this log, and no other, at a time in seconds."""
    note = Note.parse(content)
    verifier = witness(name, key)
    signature = key.sign(_cosigned(note.text, time))
    blob = verifier.key_id + time.to_bytes(_TIME_BYTES, "big") + signature
    return f"{content}{_MARK}{name} {_base64(blob)}\n"


def witness(name: str, key: Ed25519PrivateKey) -> Verifier:
    """Give the key that a witness's signatures are verified with."""
    return Verifier(name, _COSIGNATURE, key.public_key().public_bytes_raw())


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError("this is not base64") from error
