"""Answers from memory, partitioned by tenant."""
