"""How well does the guardrail find what it looks for, and how often does it take something else for it?

Each data set is scored by a part of its own (`guardrail/`); those that are left out are not scored. Personal data is
scored beside Presidio's pattern recognisers on the same texts.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from guardrail import injection, pii, secrets
from guardrail.suite import Suite
from harness import install
from harness.report import Report
from matplotlib.figure import Figure
from rich.console import Console


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    if arguments.setup:
        raise SystemExit(install.presidio() or None)
    report = Report("guardrail_quality", quick=arguments.quick)
    suites = list(_suites(arguments))
    console = Console()
    for suite in suites:
        console.print(suite.table)
    _plot(suites, report.path(".png"))
    figures = {name: value for suite in suites for name, value in suite.figures.items()}
    report.finish(figures, {name: value for suite in suites for name, value in suite.details.items()})


def _suites(arguments: argparse.Namespace) -> Iterator[Suite]:
    if arguments.pii:
        yield pii.measure(arguments.pii, quick=arguments.quick)
    if arguments.injection or arguments.benign:
        yield injection.measure(arguments.injection, arguments.benign)
    if arguments.secrets:
        yield secrets.measure(arguments.secrets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pii", type=Path, metavar="FILE", help="JSON Lines of text and spans")
    parser.add_argument(
        "--injection", type=Path, nargs="+", default=[], metavar="FILE", help="JSON Lines of text and label"
    )
    parser.add_argument(
        "--benign", type=Path, nargs="+", default=[], metavar="FILE", help="JSON Lines of harmless text"
    )
    parser.add_argument("--secrets", type=Path, metavar="FILE", help="JSON Lines of rule_name, text, label")
    parser.add_argument("--quick", action="store_true", help="at most 50 seconds")
    parser.add_argument("--setup", action="store_true", help="install the peer and do no more")
    arguments = parser.parse_args()
    if not any((arguments.setup, arguments.pii, arguments.injection, arguments.benign, arguments.secrets)):
        parser.error("name at least one data set")
    return arguments


def _plot(suites: list[Suite], path: Path) -> None:
    bars = [bar for suite in suites for bar in suite.bars]
    figure = Figure(figsize=(8, 1 + 0.3 * len(bars)), layout="constrained")
    axes = figure.subplots()
    labels, values = [label for label, _ in bars][::-1], [value for _, value in bars][::-1]
    axes.bar_label(axes.barh(labels, values), fmt="%.3f", padding=3)
    axes.set_xlim(0, 1.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
