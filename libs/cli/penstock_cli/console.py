"""Where commands print: answers and tables on standard output, everything about them on standard error."""

from rich.console import Console

# Highlighting would colour numbers and words of answers at random.
out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)
