"""Prompts of about a wanted length."""

_CHARACTERS_PER_TOKEN = 4.39  # of data/opticks.txt


def beginning(text: str, tokens: int) -> str:
    """Cut the first so many tokens, give or take a few."""
    return text[: round(tokens * _CHARACTERS_PER_TOKEN)]
