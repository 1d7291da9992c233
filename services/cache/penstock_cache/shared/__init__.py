"""The L2 tier: answers that replicas share through Redis."""
