"""The Merkle tree against RFC 9162 written down word for word, and a verifier that shares no code with it."""

import hashlib
import random

import pytest
from penstock_cli.audit.proof import ProofError, root_of, verify_consistency, verify_inclusion
from penstock_guardrail.audit.merkle import (
    Frontier,
    Node,
    consistency,
    folded,
    inclusion,
    joined,
    leaf_hash,
    made_of,
    perfect,
)

SIZES = [*range(1, 70), 127, 128, 129, 255, 256, 257, 511, 513, 1000]
# Leaves that Certificate Transparency tests with, and the roots of their trees, one leaf longer each.
KNOWN_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
KNOWN_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def naive_root(leaves):
    """RFC 9162, 2.1.1, word for word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256().digest()
    power = 1
    while power * 2 < len(leaves):
        power *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:power]) + naive_root(leaves[power:])).digest()


def leaves_of(size):
    return [leaf_hash(str(number).encode()) for number in range(size)]


class Kept:
    """A tree, and the nodes that it told to keep."""

    def __init__(self, leaves):
        self.leaves = leaves
        self.tree = Frontier()
        self.nodes = {}
        for leaf in leaves:
            self.nodes |= dict(self.tree.append(leaf))

    def proof(self, ranges):
        return [joined([self._root(node) for node in perfect(leaves)]) for leaves in ranges]

    def _root(self, node):
        level, span = made_of(node)
        return folded([self.nodes[Node(level, at)] if level else self.leaves[at] for at in span])


@pytest.mark.parametrize("size", KNOWN_ROOTS)
def test_the_roots_are_those_that_everybody_computes(size):
    kept = Kept([leaf_hash(bytes.fromhex(leaf)) for leaf in KNOWN_LEAVES[:size]])
    assert kept.tree.root.hex() == KNOWN_ROOTS[size]
    assert root_of(kept.leaves).hex() == KNOWN_ROOTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_that_grew_is_the_tree_of_its_leaves(size):
    leaves = leaves_of(size)
    kept = Kept(leaves)
    assert kept.tree.root == naive_root(leaves) == root_of(leaves)
    again = Frontier.parse(size, kept.tree.stored)
    assert (again.root, again.size) == (kept.tree.root, size)


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_proves_that_it_is_in_the_tree_and_in_no_other_place(size):
    kept = Kept(leaves_of(size))
    root = kept.tree.root
    for index in random.Random(size).sample(range(size), min(size, 24)):
        proof = kept.proof(inclusion(index, size))
        verify_inclusion(kept.leaves[index], index, size, proof, root)
        for wrong in (index - 1, index + 1, index + size):
            with pytest.raises(ProofError):
                verify_inclusion(kept.leaves[index], wrong, size, proof, root)


@pytest.mark.parametrize("size", SIZES)
def test_every_smaller_tree_is_proved_to_be_the_beginning(size):
    kept = Kept(leaves_of(size))
    second = size, kept.tree.root
    for smaller in random.Random(size).sample(range(1, size + 1), min(size, 24)):
        first = smaller, naive_root(kept.leaves[:smaller])
        proof = kept.proof(consistency(smaller, size))
        verify_consistency(first, second, proof)
        with pytest.raises(ProofError):
            verify_consistency((smaller, leaf_hash(b"another past")), second, proof)


def test_a_proof_with_anything_changed_proves_nothing():
    rng = random.Random(5)
    kept = Kept(leaves_of(700))
    root = kept.tree.root
    for _ in range(300):
        index = rng.randrange(700)
        proof = kept.proof(inclusion(index, 700))
        broken = [list(proof) for _ in range(4)]
        at = rng.randrange(len(proof))
        broken[0][at] = bytes(32)
        broken[1].pop(at)
        broken[2].insert(at, proof[at])
        broken[3].reverse()
        for changed in broken:
            with pytest.raises(ProofError):
                verify_inclusion(kept.leaves[index], index, 700, changed, root)
