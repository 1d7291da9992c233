"""The Merkle tree of RFC 9162, section 2.1, grown leaf by leaf without the leaves before.

A `Frontier` is all that appending needs: the roots of the perfect subtrees that a tree is made of. Proofs name ranges
of leaves; what their roots are made of is in the log's tables.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HASH_BYTES = 32
# Every so many levels the roots of perfect subtrees are kept.
KEPT_LEVELS = 8

_Range = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A perfect subtree: of 2**level leaves, the index-th from the left."""

    level: int
    index: int


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def joined(roots: Sequence[bytes]) -> bytes:
    """Give the root of the tree that perfect subtrees of falling size make; of none the hash of nothing."""
    if not roots:
        return hashlib.sha256().digest()
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


class Frontier:
    """A tree that grows."""

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        assert len(roots) == size.bit_count(), "one root for each bit of the size"
        self.size = size
        self._roots = list(roots)

    @classmethod
    def parse(cls, size: int, stored: bytes) -> "Frontier":
        """Read what `stored` gave."""
        return cls(size, [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)])

    @property
    def stored(self) -> bytes:
        """Write the roots, the largest subtree's first."""
        return b"".join(self._roots)

    @property
    def root(self) -> bytes:
        """Give the root of the tree."""
        return joined(self._roots)

    def append(self, leaf: bytes) -> Iterator[tuple[Node, bytes]]:
        """Take the hash of the next leaf and give the nodes that are to be kept."""
        root, level = leaf, 0
        while self.size >> level & 1:
            root = node_hash(self._roots.pop(), root)
            level += 1
            if level % KEPT_LEVELS == 0:
                yield Node(level, self.size >> level), root
        self._roots.append(root)
        self.size += 1


def inclusion(index: int, size: int) -> list[_Range]:
    """Give the ranges of leaves whose roots prove a leaf, from its sibling upwards (2.1.3.1)."""
    assert 0 <= index < size, "the leaf is in the tree"
    ranges: list[_Range] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _largest_power_below(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency(first: int, second: int) -> list[_Range]:
    """Give the ranges of leaves whose roots prove that a tree begins with a smaller one (2.1.4.1)."""
    assert 0 < first <= second, "the first tree is not empty and not the larger"
    ranges: list[_Range] = []
    begin, end = 0, second
    while first != end:
        middle = begin + _largest_power_below(end - begin)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:
        ranges.append((begin, end))
    return ranges[::-1]


def perfect(leaves: _Range) -> list[Node]:
    """Cut a range of a proof into perfect subtrees, the largest first."""
    begin, end = leaves
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        assert begin % (1 << level) == 0, "ranges of proofs begin where a subtree of their size does"
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return nodes


def made_of(node: Node) -> tuple[int, range]:
    """Tell of which kept nodes a node is made: their level and positions."""
    depth = node.level % KEPT_LEVELS
    return node.level - depth, range(node.index << depth, (node.index + 1) << depth)


def folded(hashes: Sequence[bytes]) -> bytes:
    """Give the root over the nodes of one level of a perfect subtree."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _largest_power_below(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1
