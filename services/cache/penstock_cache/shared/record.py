"""An entry as bytes that nobody else can make, change or swap for another's. Pure.

    MAC 16 | version 1 | count of labels 1 | digests of labels, 8 each | flags 1 | body

The body is a head, the labels and the answer, compressed when that helps. The MAC is keyed BLAKE2b under the secret of
the room, over the key and all that follows: what Redis gives back wrong, old or forged is not taken for an answer.
"""

import hmac
import json
import struct
import zlib
from hashlib import blake2b

from penstock_cache.entry import Answer, Entry, Label

VERSION = 1
MAC_BYTES = 16
LABEL_BYTES = 8
LABELS_MAX = 64
# As much as holds the digests of all labels: what a search by label has to read.
PREFACE_BYTES = MAC_BYTES + 2 + LABELS_MAX * LABEL_BYTES
COMPRESSED = 1
COMPRESSION_BYTES_MIN = 512
BODY_BYTES_MAX = 32 * 1024 * 1024

_HEAD = struct.Struct("<ddqII")  # stored, expires, cost, generation time, bytes of labels
_MAC = b"penstock record"
_LABEL = b"penstock label"


def label_digest(tenant_secret: bytes, label: Label) -> bytes:
    """Name a label to a store that must not know it."""
    text = f"{label[0]}:{label[1]}".encode()
    return blake2b(text, key=tenant_secret, person=_LABEL, digest_size=LABEL_BYTES).digest()


def seal(entry: Entry, room_secret: bytes, tenant_secret: bytes) -> bytes:
    """Write an entry."""
    labels = json.dumps(sorted(entry.labels)).encode()
    answer = entry.answer
    head = _HEAD.pack(entry.stored_at, entry.expires_at, answer.cost_nanos, answer.generation_ms, len(labels))
    body, flags = b"".join((head, labels, answer.body)), 0
    if len(body) >= COMPRESSION_BYTES_MIN:
        compressed = zlib.compress(body, level=1)
        if len(compressed) < len(body):
            body, flags = compressed, COMPRESSED
    digests = b"".join(sorted(label_digest(tenant_secret, label) for label in entry.labels))
    sealed = bytes((VERSION, len(entry.labels))) + digests + bytes((flags,)) + body
    return _mac(entry.key, sealed, room_secret) + sealed


def unseal(record: bytes, key: bytes, room_secret: bytes) -> Entry | None:
    """Read the entry of a key; None for anything that was not sealed for just this key in just this room."""
    mac, sealed = record[:MAC_BYTES], record[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, sealed, room_secret)) or sealed[0] != VERSION:
        return None
    flags_at = 2 + sealed[1] * LABEL_BYTES
    body = sealed[flags_at + 1 :]
    if sealed[flags_at] & COMPRESSED:
        body = zlib.decompressobj().decompress(body, BODY_BYTES_MAX)
    stored_at, expires_at, cost_nanos, generation_ms, labels_bytes = _HEAD.unpack_from(body)
    answer_at = _HEAD.size + labels_bytes
    labels = frozenset((kind, value) for kind, value in json.loads(body[_HEAD.size : answer_at]))
    return Entry(key, Answer(body[answer_at:], cost_nanos, generation_ms), labels, stored_at, expires_at)


def carries(preface: bytes, digest: bytes) -> bool:
    """Tell from the first PREFACE_BYTES of a record whether its entry carries a label; in doubt it does."""
    if len(preface) < MAC_BYTES + 2 or preface[MAC_BYTES] != VERSION:
        return True
    start = MAC_BYTES + 2
    end = start + preface[MAC_BYTES + 1] * LABEL_BYTES
    return digest in {preface[at : at + LABEL_BYTES] for at in range(start, end, LABEL_BYTES)}


def _mac(key: bytes, sealed: bytes, secret: bytes) -> bytes:
    return blake2b(key + sealed, key=secret, person=_MAC, digest_size=MAC_BYTES).digest()
