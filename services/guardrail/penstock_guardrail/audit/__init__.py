"""The audit log: one Merkle tree an organization, over salted commitments of what was decided."""
