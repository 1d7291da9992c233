"""Does the cache keep the right answers when memory is full? Beside libcachesim's policies and the best possible."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from harness import install
from harness.paths import REPO
from harness.report import Report, rounded
from matplotlib.figure import Figure
from replacement import peers, replay, traces

CAPACITY_SHARES = (0.01, 0.1)
# A policy that stores whole objects needs a few to be one.
OBJECTS_MIN = 10
QUICK_REQUESTS = 60_000


def main() -> None:
    """Replay every trace at every capacity, print a table, and end with a line of JSON."""
    arguments = _arguments()
    failure = install.libcachesim()
    if failure:
        sys.exit(failure)
    if arguments.setup:
        return
    report = Report("cache_replacement", quick=arguments.quick)
    rows = []
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        cases = [(path, share, arguments.quick) for path in arguments.trace for share in CAPACITY_SHARES]
        for row in processes.map(_row, *zip(*cases, strict=True)):
            rows.append(row)
            _print(row)
    figures = {
        "replacement_margin_points_min": min(row["margin_points"] for row in rows),
        "cost_margin_points_min": min(row["cost_margin_points"] for row in rows),
    }
    _plot(rows, report.path(".png"))
    report.finish(figures, {"rows": rows})


def _row(path: Path, share: float, quick: bool) -> dict[str, Any]:
    """Measure one trace at one capacity. Margins are ours less the best of the others, in points of a hundred."""
    keys = traces.read(path)[: QUICK_REQUESTS if quick else None]
    objects = max(int(len(set(keys)) * share), OBJECTS_MIN)
    with tempfile.TemporaryDirectory() as folder:
        oracle = Path(folder) / "trace"
        traces.write_oracle(keys, oracle)
        ratios = peers.hit_ratios(oracle, objects, quick=quick)
    possible = ratios.pop(peers.BEST_POSSIBLE)
    best = max(ratios, key=ratios.__getitem__)
    ours, weighted = (
        replay.penstock(keys, objects, weighted=False),
        replay.penstock(keys, objects, weighted=True),
    )
    others = max(replay.lru(keys, objects).saved_ratio, replay.greedy_dual(keys, objects).saved_ratio)
    return {
        "trace": path.name,
        "objects": objects,
        "penstock": rounded(ours.hit_ratio, 4),
        "best_peer": best,
        "best_peer_hit_ratio": rounded(ratios[best], 4),
        "belady": rounded(possible, 4),
        "margin_points": round(100 * (ours.hit_ratio - ratios[best]), 2),
        "saved": rounded(weighted.saved_ratio, 4),
        "saved_by_cost_blind": rounded(ours.saved_ratio, 4),
        "saved_by_best_peer": rounded(others, 4),
        "cost_margin_points": round(100 * (weighted.saved_ratio - others), 2),
        "hit_ratios": {policy: rounded(ratio, 4) for policy, ratio in ratios.items()},
        "without_figure": sorted(set(peers.policies(quick=quick)) - set(ratios)),
    }


def _print(row: dict[str, Any]) -> None:
    print(
        f"{row['trace']:32} {row['objects']:7} objects: hits {row['penstock']:.4f}, {row['best_peer']} "
        f"{row['best_peer_hit_ratio']:.4f}, Belady {row['belady']:.4f}; money saved {row['saved']:.4f}, "
        f"GreedyDual or LRU {row['saved_by_best_peer']:.4f}",
        flush=True,
    )


def _plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw each case as a column: libcachesim's policies are dashes, ours a dot below the best possible."""
    figure = Figure(figsize=(2 + 1.3 * len(rows), 5), layout="constrained")
    axis = figure.subplots()
    peers_shown = [(place, ratio) for place, row in enumerate(rows) for ratio in row["hit_ratios"].values()]
    axis.plot(*zip(*peers_shown, strict=True), "_", color="grey", label="libcachesim's policies")
    axis.plot([row["penstock"] for row in rows], "o", label="penstock")
    axis.plot(
        [row["belady"] for row in rows], "_", markersize=20, color="black", label="Belady, the best possible"
    )
    labels = [f"{row['trace'].split('.')[0]}\n{row['objects']} objects" for row in rows]
    axis.set_xticks(range(len(rows)), labels, rotation=45, ha="right")
    axis.set(ylabel="hit ratio", ylim=(0, None))
    axis.legend()
    figure.savefig(path, dpi=120)
    print(f"plot: {path.relative_to(REPO)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--trace",
        type=Path,
        nargs="+",
        default=[],
        help="traces, in the formats of bench/replacement/traces.py",
    )
    parser.add_argument("--quick", action="store_true", help="fewer peers and requests, at most 50 seconds")
    parser.add_argument("--setup", action="store_true", help="only install the peer")
    arguments = parser.parse_args()
    if not arguments.trace and not arguments.setup:
        print("No trace given: bench/replacement/traces.py says which formats are read.")
        sys.exit(0)
    return arguments


if __name__ == "__main__":
    main()
