"""The L3 tier: answers to questions that mean the same, and a guard against those that only look it."""
