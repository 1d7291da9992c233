"""The parts of `cache_quality.py`."""
