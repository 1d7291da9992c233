"""Where the benchmarks keep things."""

from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
REPO = BENCH.parent
CACHE = REPO / ".cache" / "bench"
RESULTS = BENCH / "results"
PEERS = BENCH / "peers"
