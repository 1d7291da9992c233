"""The engines under test, each in a process of its own that runs one measurement at a time when told to."""
