"""How many tokens a step computes ahead of the next one of each answer: those known already, and guesses. Pure.

Guesses are checked in the step that computes the token before them: as long as the tokens that come of the logits are
those that were guessed, they stand (speculative decoding, Leviathan et al., ICML 2023, with guesses of one token each).
"""

from collections.abc import Iterable

from penstock_inference.sequence import Sequence

# What a step costs beside its tokens, which is mostly to read the weights (measured, decision 21).
_STEP_COST_TOKENS = 10


def tokens_ahead(decoding: list[Sequence], room: int, guesses_max: int) -> Iterable[list[int]]:
    """Say for each sequence what follows its next token, within a step's room.

    Who was preempted goes on through what it had. Another guess is made while it gives more tokens for its cost than
    the step does without it, so the more answers run, the surer must guesses be.
    """
    tokens, cost = float(len(decoding)), len(decoding) + _STEP_COST_TOKENS
    for sequence in decoding:
        known = sequence.known_ahead
        ahead = known[:room]
        most = min(guesses_max, room, sequence.ends.max_tokens - len(sequence.tokens) - 1)
        if most > 0 and not known:
            guesses, likelihood = 0, sequence.lookup.likelihood
            while guesses < most and likelihood * cost >= tokens:
                tokens, cost, guesses = tokens + likelihood, cost + 1, guesses + 1
                likelihood *= sequence.lookup.likelihood
            ahead = sequence.lookup.guess(guesses)
        room -= len(ahead)
        yield ahead
