"""libcachesim's policies on a trace, each in a process of its own."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.paths import BENCH, CACHE

QUICK_POLICIES = ("LRU", "ARC", "LIRS", "SLRU", "MQ", "GDSF", "Hyperbolic", "WTinyLFU", "S3FIFO", "LHD")
POLICIES = (
    *QUICK_POLICIES,
    *("FIFO", "Clock", "LFU", "LFUDA", "TwoQ", "LRUK", "Sieve", "LeCaR", "Cacheus"),
    *("ClockPro", "Clock2QPlus", "GLCache", "LRB", "ThreeLCache"),
)
BEST_POSSIBLE = "Belady"
SECONDS_MAX = 60  # of a replay; most take a few, LFUDA never ends on some traces


def hit_ratios(oracle: Path, objects: int, *, quick: bool) -> dict[str, float]:
    """Replay a trace through every policy and the best possible; one that fails or never ends has no figure."""
    ratios = {}
    for policy in (BEST_POSSIBLE, *policies(quick=quick)):
        ratio = _hit_ratio(oracle, policy, objects)
        if ratio is not None:
            ratios[policy] = ratio
    return ratios


def policies(*, quick: bool) -> Sequence[str]:
    """Name those that a run replays."""
    return QUICK_POLICIES if quick else POLICIES


def _hit_ratio(oracle: Path, policy: str, objects: int) -> float | None:
    command = [
        str(CACHE / "libcachesim" / "bin" / "python"),
        str(BENCH / "replacement" / "libcachesim_peer.py"),
        *(str(oracle), policy, str(objects)),
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return None
    if ran.returncode != 0 or not ran.stdout.strip():
        return None
    ratio: float = json.loads(ran.stdout.strip().splitlines()[-1])["hit_ratio"]
    return ratio
