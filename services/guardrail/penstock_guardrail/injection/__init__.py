"""Prompt injection and jailbreak: a calibrated probability for a text, and why."""
