"""Where commands print: answers and tables on standard output, everything about them on standard error."""

import sys

from rich.console import Console

# A file or a pipe has no width that lines must be broken for.
WIDTH_ELSEWHERE = 10_000

# Highlighting would colour numbers and words of answers at random.
out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)
err = Console(highlight=False, width=None if sys.stderr.isatty() else WIDTH_ELSEWHERE, stderr=True)
