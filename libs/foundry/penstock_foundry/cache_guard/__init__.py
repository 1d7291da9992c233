"""Casts the calibration of the cache's guard: how sure it is that two questions have one answer."""
