"""Policies of organizations: what they say, the regulations they keep, where they are kept, and which one decides."""
