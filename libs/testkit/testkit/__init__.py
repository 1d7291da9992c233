"""Test fixtures: an in-process server, real Redis and PostgreSQL, a clock, faults on demand."""
