"""The guardrail: finds, redacts and refuses what must not pass, and restores what it redacted."""
