"""Verify an audit log without trusting who keeps it: needed are a checkpoint and a public key."""
