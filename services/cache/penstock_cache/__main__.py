"""Run the cache: `python -m penstock_cache`."""

from servicekit.server import run

from penstock_cache.server import build
from penstock_cache.settings import CacheSettings

if __name__ == "__main__":
    run(build, CacheSettings)
