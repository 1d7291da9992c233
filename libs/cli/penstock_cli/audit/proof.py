"""Proofs of Merkle trees, verified as RFC 9162 says: inclusion (2.1.3.2), consistency (2.1.4.2), and the whole tree."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence

_HASH_BYTES = 32


class ProofError(Exception):
    """Something does not prove what it should; the message says what."""


def leaf_hash(record: bytes, salt: bytes) -> bytes:
    """Hash a leaf: of the commitment to a record under its salt."""
    return hashlib.sha256(b"\x00" + hmac.digest(salt, record, "sha256")).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Compute the root of a tree from the hashes of all its leaves."""
    stack: list[bytes] = []
    for size, leaf in enumerate(leaves):
        node, bits = leaf, size
        while bits & 1:
            node, bits = _node(stack.pop(), node), bits >> 1
        stack.append(node)
    if not stack:
        return hashlib.sha256().digest()
    root = stack.pop()
    while stack:
        root = _node(stack.pop(), root)
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf is in a tree.

    Raises:
        ProofError: it is not, or the proof does not say so.
    """
    if not 0 <= index < size or len(leaf) != len(root) or len(root) != _HASH_BYTES:
        raise ProofError("the entry is not in a tree of that size")
    node, position, last = leaf, index, size - 1
    for other in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if position & 1 or position == last:
            node = _node(other, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = _node(node, other)
        position, last = position >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(node, root):
        raise ProofError("the inclusion proof does not lead to the root")


def verify_consistency(first: tuple[int, bytes], second: tuple[int, bytes], proof: Sequence[bytes]) -> None:
    """Verify that a tree begins with a smaller one; each is given by size and root.

    Raises:
        ProofError: it does not, or the proof does not say so.
    """
    (first_size, first_root), (second_size, second_root) = first, second
    if not 0 < first_size <= second_size:
        raise ProofError("the log is shorter than it was")
    if first_size == second_size:
        if proof or not hmac.compare_digest(first_root, second_root):
            raise ProofError("two logs of the same size are not the same")
        return
    nodes = list(proof)
    if first_size & (first_size - 1) == 0:
        nodes.insert(0, first_root)
    if not nodes:
        raise ProofError("the consistency proof is empty")
    if _climb(nodes, first_size - 1, second_size - 1) != (first_root, second_root):
        raise ProofError("what was in the log is not in it any more")


def _climb(nodes: Sequence[bytes], position: int, last: int) -> tuple[bytes, bytes]:
    """Compute both roots of a consistency proof."""
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = nodes[0]
    for other in nodes[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if position & 1 or position == last:
            old, new = _node(other, old), _node(other, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = _node(new, other)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    return old, new


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
