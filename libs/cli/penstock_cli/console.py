"""Where commands print: answers and tables on standard output, everything about them on standard error."""

import sys

from rich.console import Console

# A file or a pipe has no width to fit into, so no table is cut for it.
WIDTH_ELSEWHERE = 200

# Highlighting would colour numbers and words of answers at random.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)
err = Console(highlight=False, soft_wrap=True, stderr=True)
