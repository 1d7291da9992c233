"""Models are cast here, offline: from files given as arguments, seeded, the same bytes every time."""
